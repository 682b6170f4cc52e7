# A root that makes the key of the module itself, and that the plan therefore knows no ARN of; for tests/terraform/own_key.tftest.hcl.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

resource "aws_kms_key" "own" {
  description = "The root's own"
}

module "aurora_restore" {
  source = "../../.."

  name           = "restore"
  database       = null
  lambda_package = { s3_bucket = "releases", s3_key = "restore.zip" }

  kms_key  = { arn = aws_kms_key.own.arn }
  defaults = { kms_key_id = aws_kms_key.own.arn }
}

output "kms_key_arn" {
  description = "The module's output."
  value       = module.aurora_restore.kms_key_arn
}
