# The longest that the validations let through fits into AWS's limits.

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
    kms_key_arn     = "arn:aws-us-gov:kms:ap-southeast-2:111122223333:key/mrk-00000000000040008000000000000000"
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

run "longest_policies" {
  command = plan

  variables {
    name        = "a234567890123456789012345678901234567890"
    environment = "a2345678901234567890"
    vpc_config  = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    source_accounts = { for i in range(37) : format("4444555566%02d", i) => {
      role_arn    = format("arn:aws:iam::4444555566%02d:role/r", i)
      external_id = "x1"
    } }
    snapshot_kms_key_arns = [for i in range(10) : format("arn:aws:kms:ap-southeast-2:7777888899%02d:key/mrk-00000000000040008000000000000000", i)]
  }

  assert {
    condition     = max([for policy in aws_iam_role_policy.step : length(policy.policy)]...) <= 10240
    error_message = "The longest policies are longer than IAM's quota of 10,240 characters."
  }
}
