# What can be turned off, given or replaced. Off is null.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

variables {
  name = "restore"
}

run "no_database_phase" {
  command = plan

  variables {
    database = null
  }

  assert {
    condition     = !contains(keys(aws_lambda_function.step), "setup_db_users") && length(aws_lambda_function.step) == 13 && length(aws_iam_role.step) == 13
    error_message = "Without the phase there is no function for it, and no role."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.step : length(function.vpc_config) == 0 && function.environment[0].variables.ARP_DATABASE == "disabled"])
    error_message = "Nothing sits in a VPC, and the functions know."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : [
          for action in flatten([statement.Action]) :
          (!startswith(action, "ec2:") || action == "ec2:DescribeSecurityGroups") && action != "secretsmanager:GetSecretValue"
        ]
      ]
    ]))
    error_message = "Nobody reads secrets or makes network interfaces."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.this.definition).States.SetupDbUsers.Parameters.FunctionName == "arn:aws:lambda:eu-west-1:111122223333:function:restore-setup-db-users"
    error_message = "The state that is not reached names the function that would be."
  }

  assert {
    condition     = !anytrue([for resource in jsondecode(aws_iam_role_policy.machine.policy).Statement[0].Resource : strcontains(resource, "setup-db-users")])
    error_message = "The state machine may not invoke what is not there."
  }
}

run "database_settings" {
  command = plan

  variables {
    vpc_config = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    database   = { connect_timeout_seconds = 20, extra_ca_pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" }
  }

  assert {
    condition = (
      aws_lambda_function.step["setup_db_users"].environment[0].variables.ARP_DB_CONNECT_TIMEOUT == "20" &&
      startswith(aws_lambda_function.step["setup_db_users"].environment[0].variables.ARP_EXTRA_CA_PEM, "-----BEGIN CERTIFICATE-----")
    )
    error_message = "The database functions get their settings."
  }
}

run "key_of_the_caller" {
  command = plan

  variables {
    database = null
    kms_key  = { arn = "arn:aws:kms:eu-west-1:111122223333:key/11111111-1111-4111-8111-111111111111" }
  }

  assert {
    condition     = length(aws_kms_key.this) == 0 && length(aws_kms_alias.this) == 0 && output.kms_key_arn == var.kms_key.arn
    error_message = "A key that is given is used, and none is made."
  }

  assert {
    condition     = aws_dynamodb_table.state.server_side_encryption[0].kms_key_arn == var.kms_key.arn && aws_sns_topic.notifications.kms_master_key_id == var.kms_key.arn
    error_message = "Everything is encrypted with it."
  }
}

run "prebuilt_local_zip" {
  command = plan

  variables {
    database       = null
    lambda_package = { filename = "./LICENSE" } # any file will do: its content is not looked at
  }

  assert {
    condition     = length(terraform_data.package) == 0 && length(aws_s3_bucket.package) == 1 && aws_s3_object.package[0].source == "./LICENSE"
    error_message = "Nothing is built; the zip is uploaded."
  }

  assert {
    condition     = aws_lambda_function.step["cleanup"].s3_key == "lambda/${filesha256("./LICENSE")}.zip"
    error_message = "Another zip is another key."
  }
}

run "prebuilt_object" {
  command = plan

  variables {
    database       = null
    lambda_package = { s3_bucket = "releases", s3_key = "restore.zip", s3_object_version = "v3" }
  }

  assert {
    condition     = length(terraform_data.package) == 0 && length(aws_s3_bucket.package) == 0 && length(aws_s3_object.package) == 0
    error_message = "Nothing is built and nothing uploaded."
  }

  assert {
    condition = alltrue([
      for function in aws_lambda_function.step : function.s3_bucket == "releases" && function.s3_key == "restore.zip" && function.s3_object_version == "v3"
    ])
    error_message = "Functions take the object that is named."
  }
}

run "subscriptions" {
  command = plan

  variables {
    database = null
    notifications = {
      subscriptions = {
        team  = { protocol = "email", endpoint = "databases@example.com" }
        queue = { protocol = "sqs", endpoint = "arn:aws:sqs:eu-west-1:111122223333:restores", raw_message_delivery = true, filter_policy = jsonencode({ status = ["FAILED"] }) }
      }
    }
  }

  assert {
    condition = (
      length(aws_sns_topic_subscription.notifications) == 2 &&
      aws_sns_topic_subscription.notifications["team"].endpoint == "databases@example.com" &&
      aws_sns_topic_subscription.notifications["queue"].raw_message_delivery &&
      aws_sns_topic_subscription.notifications["queue"].filter_policy == "{\"status\":[\"FAILED\"]}" &&
      aws_sns_topic_subscription.notifications["queue"].filter_policy_scope == "MessageAttributes" &&
      aws_sns_topic_subscription.notifications["team"].filter_policy == null
    )
    error_message = "Each subscription is made."
  }
}

run "function_settings" {
  command = plan

  variables {
    vpc_config = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    lambda     = { architecture = "x86_64", runtime = "python3.12", memory_size = 1024, timeout = 200, database_timeout = 700, log_level = "DEBUG", reserved_concurrency = 5 }
    waits      = { floor_seconds = 20 }
    deadlines  = { cluster = 3600 }
  }

  assert {
    condition = alltrue([
      for function in aws_lambda_function.step :
      function.architectures == tolist(["x86_64"]) && function.runtime == "python3.12" && function.reserved_concurrent_executions == 5 && function.environment[0].variables.POWERTOOLS_LOG_LEVEL == "DEBUG"
    ])
    error_message = "Settings are every function's."
  }

  assert {
    condition     = aws_lambda_function.step["cleanup"].timeout == 200 && aws_lambda_function.step["verify_restore"].timeout == 700 && aws_lambda_function.step["cleanup"].memory_size == 1024
    error_message = "Database functions have their own time."
  }

  assert {
    condition = (
      aws_lambda_function.step["cleanup"].environment[0].variables.ARP_WAIT_FLOOR_SECONDS == "20" &&
      jsondecode(aws_lambda_function.step["cleanup"].environment[0].variables.ARP_DEADLINES).cluster == 3600 &&
      jsondecode(aws_lambda_function.step["cleanup"].environment[0].variables.ARP_DEADLINES).instance == 21600
    )
    error_message = "Waits and deadlines reach the functions, the rest by default."
  }
}

run "unprotected_tables" {
  command = plan

  variables {
    database                  = null
    table_deletion_protection = false
    log_retention_days        = 7
  }

  assert {
    condition     = !aws_dynamodb_table.state.deletion_protection_enabled && !aws_dynamodb_table.audit.deletion_protection_enabled
    error_message = "Protection can be turned off for a destroy."
  }

  assert {
    condition     = aws_cloudwatch_log_group.machine.retention_in_days == 7
    error_message = "Retention can be set."
  }
}
