tflint {
  required_version = ">= 0.50"
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Files are named for what is in them (main.tf says which), not by the standard three alone.
rule "terraform_standard_module_structure" {
  enabled = false
}
