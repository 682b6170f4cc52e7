# The longest that the validations let through fits into AWS's limits; of policies, the length itself is checked.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

run "longest_settings" {
  command = plan

  variables {
    name            = "a234567890123456789012345678901234567890"
    environment     = "a2345678901234567890"
    vpc_config      = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    tags            = { for i in range(22) : format("tag-%02d", i) => join("", [for j in range(5) : "0123456789"]) }
    table_names     = { for kind in ["state", "audit"] : kind => "${kind}${join("", [for i in range(9) : "0123456789"])}01234" }
    kms_key         = { arn = "arn:aws-us-gov:kms:ap-southeast-2:111122223333:key/mrk-00000000000040008000000000000000" }
    record_ttl_days = 36500
    waits           = { floor_seconds = 99, cap_seconds = 900 }
    deadlines       = { queue = 100000, copy = 100000, cluster = 100000, configure = 100000, instance = 100000, compensate = 100000 }
    copies          = { lanes = 20 }
    lambda          = { log_level = "CRITICAL" }
    database        = { connect_timeout_seconds = 60, extra_ca_pem = "-----BEGIN CERTIFICATE-----${join("", [for i in range(157) : "0123456789"])}" }
  }

  # Lambda's quota on environment variables: 4 KB, names and values together. The mocked topic's ARN is shorter than a real one.
  assert {
    condition = max([
      for key, function in aws_lambda_function.step : sum([for name, value in function.environment[0].variables : length(name) + length(value)]) - length(aws_sns_topic.notifications.arn)
    ]...) + length("arn:aws-us-gov:sns:ap-southeast-2:111122223333:${aws_sns_topic.notifications.name}") <= 4096
    error_message = "The longest settings do not fit into a function's environment."
  }
}

# With ARNs as long as real ones, which the common mocks' are not.
run "forty_source_accounts" {
  command = plan

  variables {
    name        = "aurora-restore"
    environment = "production"
    vpc_config  = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    source_accounts = { for i in range(40) : format("4444555566%02d", i) => {
      role_arn           = format("arn:aws:iam::4444555566%02d:role/aurora-restore-production-snapshot-source", i)
      external_id        = format("6d1c7f0e-3b0a-4c55-9f0e-2a8f5b7c9d%02d", i)
      share_kms_key_arns = { for region in ["eu-west-1", "eu-central-1"] : region => format("arn:aws:kms:%s:4444555566%02d:key/22222222-2222-4222-8222-222222222222", region, i) }
    } }
    passable_role_arns = ["arn:aws:iam::111122223333:role/rds-monitoring", "arn:aws:iam::111122223333:role/database-*"]
  }

  override_resource {
    target          = aws_cloudwatch_log_group.step
    override_during = plan
    values          = { arn = "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/aurora-restore-production-check-restore-status" }
  }

  override_resource {
    target          = aws_dynamodb_table.state
    override_during = plan
    values          = { arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/AuroraRestoreState-production" }
  }

  override_resource {
    target          = aws_dynamodb_table.audit
    override_during = plan
    values          = { arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/AuroraRestoreAudit-production" }
  }

  assert {
    condition = length([
      for statement in jsondecode(aws_iam_role_policy.step["copy_snapshot"].policy).Statement : statement if statement.Sid == "SourceAccounts" && length(statement.Resource) == 40
    ]) == 1
    error_message = "Forty accounts fit, and all of them are in the policy."
  }
}

run "source_accounts_that_outgrow_a_policy" {
  command = plan

  variables {
    name     = "restore"
    database = null
    source_accounts = { for i in range(60) : format("4444555566%02d", i) => {
      role_arn    = format("arn:aws:iam::4444555566%02d:role/aurora-restore-production-snapshot-source", i)
      external_id = format("6d1c7f0e-3b0a-4c55-9f0e-2a8f5b7c9d%02d", i)
    } }
  }

  expect_failures = [aws_iam_role_policy.step]
}

run "snapshot_keys_that_outgrow_a_policy" {
  command = plan

  variables {
    name                  = "restore"
    database              = null
    snapshot_kms_key_arns = [for i in range(50) : format("arn:aws:kms:eu-west-1:4444555566%02d:key/22222222-2222-4222-8222-222222222222", i)]
  }

  expect_failures = [aws_iam_role_policy.step]
}

run "passable_roles_that_outgrow_a_policy" {
  command = plan

  variables {
    name               = "restore"
    database           = null
    passable_role_arns = [for i in range(100) : format("arn:aws:iam::111122223333:role/platform/databases/monitoring-of-team-%02d", i)]
  }

  expect_failures = [aws_iam_role_policy.step]
}
