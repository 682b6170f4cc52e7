# Several instances of the module in one root, for tests/workflow/test_module.py.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

provider "aws" {}

variable "deployments" {
  description = "The instances, by a key of the test's choice."
  type = map(object({
    name        = string
    environment = optional(string, "")
    tables      = optional(string) # prefix of the tables' names
    database    = optional(object({ extra_ca_pem = string }))
    lambda      = optional(object({ architecture = string }), { architecture = "arm64" })
    lambda_package = optional(object({
      filename  = optional(string)
      s3_bucket = optional(string)
      s3_key    = optional(string)
    }))
  }))
}

variable "vpc_config" {
  description = "As the module's, for all instances with a database phase."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
}

variable "db_subnet_group_name" {
  description = "Subnet group that clusters are restored into."
  type        = string
}

variable "package_builder" {
  description = "As the module's; all instances build into one folder."
  type = object({
    python    = string
    build_dir = string
  })
}

module "aurora_restore" {
  source   = "../../.."
  for_each = var.deployments

  name        = each.value.name
  environment = each.value.environment
  table_names = each.value.tables == null ? {} : { state = "${each.value.tables}State", audit = "${each.value.tables}Audit" }

  database   = each.value.database
  vpc_config = each.value.database == null ? null : var.vpc_config
  defaults = {
    db_instance_class      = "db.t4g.medium"
    db_subnet_group_name   = var.db_subnet_group_name
    vpc_security_group_ids = var.vpc_config.security_group_ids
  }

  lambda          = each.value.lambda
  lambda_package  = each.value.lambda_package
  package_builder = var.package_builder

  table_deletion_protection = false
}

output "deployments" {
  description = "Each instance's outputs."
  value       = module.aurora_restore
}
