# Names: what a caller sets, what is derived, and what AWS's limits make of long ones.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

variables {
  vpc_config = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
}

run "with_environment" {
  command = plan

  variables {
    name        = "restore"
    environment = "dev"
    tags        = { team = "data" }
  }

  assert {
    condition = (
      aws_sfn_state_machine.this.name == "restore-dev" &&
      aws_lambda_function.step["snapshot_check"].function_name == "restore-dev-snapshot-check" &&
      aws_iam_role.step["snapshot_check"].name == "restore-dev-snapshot-check-eu-west-1" &&
      aws_iam_role.machine.name == "restore-dev-state-machine-eu-west-1" &&
      aws_sns_topic.notifications.name == "restore-dev-notifications" &&
      aws_kms_alias.this[0].name == "alias/restore-dev" &&
      output.secret_prefix == "aurora-restore/restore-dev"
    )
    error_message = "The environment is part of every name."
  }

  assert {
    condition     = output.state_table_name == "AuroraRestoreState-dev" && output.audit_table_name == "AuroraRestoreAudit-dev"
    error_message = "The environment is appended to the tables' names."
  }

  assert {
    condition = alltrue([
      for tags in concat(
        [for resource in concat(values(aws_lambda_function.step), values(aws_iam_role.step), values(aws_cloudwatch_log_group.step)) : resource.tags],
        [
          aws_cloudwatch_log_group.machine.tags, aws_dynamodb_table.audit.tags, aws_dynamodb_table.state.tags, aws_iam_role.machine.tags, aws_kms_key.this[0].tags,
          aws_s3_bucket.package[0].tags, aws_sfn_state_machine.this.tags, aws_sns_topic.notifications.tags,
        ],
      ) : tags == tomap({ team = "data", "aurora-restore:deployment" = "restore-dev" })
    ])
    error_message = "Everything is tagged, and not as if a restore had made it."
  }

  assert {
    condition     = aws_lambda_function.step["cleanup"].environment[0].variables.ARP_TAGS == "{\"team\":\"data\"}"
    error_message = "A restore's own resources get the caller's tags."
  }
}

run "table_names" {
  command = plan

  variables {
    name        = "restore"
    environment = "dev"
    table_names = { state = "Other.State" }
  }

  assert {
    condition     = output.state_table_name == "Other.State" && output.audit_table_name == "AuroraRestoreAudit-dev"
    error_message = "A table's name can be given."
  }
}

run "long_names" {
  command = plan

  variables {
    name        = "a23456789-b23456789-c23456789-d234567890"
    environment = "e23456789-f23456789"
  }

  assert {
    condition = alltrue([
      for name in concat(
        [for resource in values(aws_lambda_function.step) : resource.function_name],
        [for resource in values(aws_iam_role.step) : resource.name],
        [aws_iam_role.machine.name],
      ) : length(name) <= 64 && can(regex("^[a-z0-9-]+$", name))
    ])
    error_message = "Lambda and IAM names end at 64 characters."
  }

  assert {
    condition = length(distinct(concat(
      [for resource in values(aws_lambda_function.step) : resource.function_name],
      [for resource in values(aws_iam_role.step) : resource.name],
      [aws_iam_role.machine.name],
    ))) == 29
    error_message = "Names that were cut stay unique."
  }

  assert {
    condition     = length(aws_s3_bucket.package[0].bucket_prefix) <= 37
    error_message = "The provider adds 26 characters to a bucket's prefix, and 63 is the limit."
  }

  assert {
    condition     = alltrue([for key, group in aws_cloudwatch_log_group.step : group.name == "/aws/lambda/${aws_lambda_function.step[key].function_name}"])
    error_message = "Log groups follow the names that were cut."
  }

  assert {
    condition = toset(one([
      for statement in jsondecode(aws_kms_key.this[0].policy).Statement : statement.Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"] if statement.Sid == "Logs"
      ])) == toset([
      for group in concat(values(aws_cloudwatch_log_group.step), [aws_cloudwatch_log_group.machine]) : "arn:aws:logs:eu-west-1:111122223333:log-group:${group.name}"
    ])
    error_message = "The key serves exactly the module's log groups."
  }
}

run "roles" {
  command = plan

  variables {
    name                 = "restore"
    role_path            = "/platform/restore/"
    permissions_boundary = "arn:aws:iam::111122223333:policy/boundary"
  }

  assert {
    condition = alltrue([
      for role in concat(values(aws_iam_role.step), [aws_iam_role.machine]) :
      role.path == "/platform/restore/" && role.permissions_boundary == "arn:aws:iam::111122223333:policy/boundary"
    ])
    error_message = "Path and boundary are every role's."
  }
}
