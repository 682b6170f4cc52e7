provider "aws" {
  region = var.region
}

module "aurora_restore" {
  source = "../.."

  name        = var.name
  environment = var.environment
  tags        = var.tags

  # Where the functions that connect to restored clusters sit: the clusters' security groups must let theirs in.
  vpc_config = {
    subnet_ids         = var.subnet_ids
    security_group_ids = var.lambda_security_group_ids
  }

  # IAM roles that a request may hand to RDS: for Enhanced Monitoring, and for what the database itself uses.
  passable_role_arns = var.passable_role_arns

  # What is the same for every restore; an execution's input overrides it field by field.
  defaults = {
    db_subnet_group_name   = var.db_subnet_group_name
    vpc_security_group_ids = var.cluster_security_group_ids
    db_instance_class      = var.db_instance_class
  }

  database = {
    extra_ca_pem = var.extra_ca_pem
  }

  notifications = {
    subscriptions = merge(
      var.notification_email == null ? {} : {
        team = { protocol = "email", endpoint = var.notification_email }
      },
      # A filter names attributes of the message: docs/operations.md lists them.
      var.on_call_email == null ? {} : {
        on_call = { protocol = "email", endpoint = var.on_call_email, filter_policy = jsonencode({ status = ["FAILED"] }) }
      },
    )
  }

  table_deletion_protection = var.table_deletion_protection
}
