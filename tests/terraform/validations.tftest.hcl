# Every validation refuses what it is there for.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

variables {
  name       = "restore"
  vpc_config = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
}

run "name_with_upper_case" {
  command = plan

  variables {
    name = "Restore"
  }

  expect_failures = [var.name]
}

run "name_too_long" {
  command = plan

  variables {
    name = "a2345678901234567890123456789012345678901"
  }

  expect_failures = [var.name]
}

run "name_ending_in_a_hyphen" {
  command = plan

  variables {
    name = "restore-"
  }

  expect_failures = [var.name]
}

run "environment_with_underscore" {
  command = plan

  variables {
    environment = "dev_1"
  }

  expect_failures = [var.environment]
}

run "environment_too_long" {
  command = plan

  variables {
    environment = "a23456789012345678901"
  }

  expect_failures = [var.environment]
}

run "tags_of_aws" {
  command = plan

  variables {
    tags = { "aws:team" = "x" }
  }

  expect_failures = [var.tags]
}

run "tags_of_the_pipeline" {
  command = plan

  variables {
    tags = { "aurora-restore:managed-by" = "somebody-else" }
  }

  expect_failures = [var.tags]
}

# Just beyond what tests/terraform/limits.tftest.hcl shows to fit.
run "tags_too_long" {
  command = plan

  variables {
    tags = { for i in range(23) : format("tag-%02d", i) => "01234567890123456789012345678901234567890123456789" }
  }

  expect_failures = [var.tags]
}

run "table_name_too_long" {
  command = plan

  variables {
    table_names = { state = join("", [for i in range(101) : "x"]) }
  }

  expect_failures = [var.table_names]
}

run "table_name_with_space" {
  command = plan

  variables {
    table_names = { state = "My State" }
  }

  expect_failures = [var.table_names]
}

run "table_names_the_same" {
  command = plan

  variables {
    table_names = { state = "Same", audit = "Same" }
  }

  expect_failures = [var.table_names]
}

run "boundary_that_is_no_arn" {
  command = plan

  variables {
    permissions_boundary = "boundary"
  }

  expect_failures = [var.permissions_boundary]
}

run "role_path_without_slashes" {
  command = plan

  variables {
    role_path = "platform"
  }

  expect_failures = [var.role_path]
}

run "key_by_alias" {
  command = plan

  variables {
    kms_key = { arn = "arn:aws:kms:eu-west-1:111122223333:alias/restore" }
  }

  expect_failures = [var.kms_key]
}

run "key_deletion_window" {
  command = plan

  variables {
    kms_key_deletion_window_days = 5
  }

  expect_failures = [var.kms_key_deletion_window_days]
}

run "runtime" {
  command = plan

  variables {
    lambda = { runtime = "python3.9" }
  }

  expect_failures = [var.lambda]
}

run "architecture" {
  command = plan

  variables {
    lambda = { architecture = "arm" }
  }

  expect_failures = [var.lambda]
}

run "memory_size" {
  command = plan

  variables {
    lambda = { memory_size = 128 }
  }

  expect_failures = [var.lambda]
}

run "timeout_beyond_the_state" {
  command = plan

  variables {
    lambda = { timeout = 301 }
  }

  expect_failures = [var.lambda]
}

run "database_timeout_beyond_the_state" {
  command = plan

  variables {
    lambda = { database_timeout = 900 }
  }

  expect_failures = [var.lambda]
}

run "log_level" {
  command = plan

  variables {
    lambda = { log_level = "TRACE" }
  }

  expect_failures = [var.lambda]
}

run "reserved_concurrency_of_nothing" {
  command = plan

  variables {
    lambda = { reserved_concurrency = 0 }
  }

  expect_failures = [var.lambda]
}

run "code_signing_of_an_unsigned_zip" {
  command = plan

  variables {
    lambda = { code_signing_config_arn = "arn:aws:lambda:eu-west-1:111122223333:code-signing-config:csc-1" }
  }

  expect_failures = [var.lambda]
}

run "database_phase_without_vpc" {
  command = plan

  variables {
    vpc_config = null
  }

  expect_failures = [var.vpc_config]
}

run "vpc_without_subnets" {
  command = plan

  variables {
    vpc_config = { subnet_ids = [], security_group_ids = ["sg-1"] }
  }

  expect_failures = [var.vpc_config]
}

run "connect_timeout" {
  command = plan

  variables {
    database = { connect_timeout_seconds = 0 }
  }

  expect_failures = [var.database]
}

run "ca_that_is_not_pem" {
  command = plan

  variables {
    database = { extra_ca_pem = "MIIB" }
  }

  expect_failures = [var.database]
}

run "ca_too_long" {
  command = plan

  variables {
    database = { extra_ca_pem = format("-----BEGIN CERTIFICATE-----%s", join("", [for i in range(200) : "0123456789"])) }
  }

  expect_failures = [var.database]
}

run "log_retention" {
  command = plan

  variables {
    log_retention_days = 10
  }

  expect_failures = [var.log_retention_days]
}

run "package_of_two_origins" {
  command = plan

  variables {
    lambda_package = { filename = "./LICENSE", s3_bucket = "releases", s3_key = "restore.zip" }
  }

  expect_failures = [var.lambda_package]
}

run "package_of_no_origin" {
  command = plan

  variables {
    lambda_package = {}
  }

  expect_failures = [var.lambda_package]
}

run "package_without_key" {
  command = plan

  variables {
    lambda_package = { s3_bucket = "releases" }
  }

  expect_failures = [var.lambda_package]
}

run "package_with_a_version_of_nothing" {
  command = plan

  variables {
    lambda_package = { filename = "./LICENSE", s3_object_version = "v3" }
  }

  expect_failures = [var.lambda_package]
}

run "package_that_does_not_exist" {
  command = plan

  variables {
    lambda_package = { filename = "./no-such.zip" }
  }

  expect_failures = [var.lambda_package]
}

run "builder_without_interpreter" {
  command = plan

  variables {
    package_builder = { python = "" }
  }

  expect_failures = [var.package_builder]
}

run "defaults_that_are_a_list" {
  command = plan

  variables {
    defaults = ["db.r6g.large"]
  }

  expect_failures = [var.defaults]
}

run "defaults_with_an_operation_id" {
  command = plan

  variables {
    defaults = { operation_id = "nightly" }
  }

  expect_failures = [var.defaults]
}

run "defaults_with_a_mode" {
  command = plan

  variables {
    defaults = { mode = "plan" }
  }

  expect_failures = [var.defaults]
}

run "defaults_with_an_unknown_field" {
  command = plan

  variables {
    defaults = { db_instance_class = "db.r6g.large", serverless_v2 = { min_capacity = 0.5, max_capacity = 8 } }
  }

  expect_failures = [var.defaults]
}

run "defaults_with_a_field_by_two_names" {
  command = plan

  variables {
    defaults = { vpc_security_group_ids = ["sg-1"], security_group_ids = ["sg-2"] }
  }

  expect_failures = [var.defaults]
}

run "defaults_by_other_names_and_nulls" {
  command = plan

  variables {
    defaults = { security_group_ids = ["sg-1"], mode = null }
  }
}

run "defaults_too_long" {
  command = plan

  variables {
    defaults = { checks = [for i in range(1000) : "0123456789012345678901234567890123456789"] }
  }

  expect_failures = [var.defaults]
}

run "waits_out_of_order" {
  command = plan

  variables {
    waits = { floor_seconds = 700 }
  }

  expect_failures = [var.waits]
}

run "waits_without_calls" {
  command = plan

  variables {
    waits = { rds_calls_per_second = 0.5 }
  }

  expect_failures = [var.waits]
}

run "waits_too_short" {
  command = plan

  variables {
    waits = { floor_seconds = 1 }
  }

  expect_failures = [var.waits]
}

run "deadline_too_short" {
  command = plan

  variables {
    deadlines = { configure = 10 }
  }

  expect_failures = [var.deadlines]
}

run "deadline_too_long" {
  command = plan

  variables {
    deadlines = { cluster = 200000 }
  }

  expect_failures = [var.deadlines]
}

run "deadline_of_the_queue" {
  command = plan

  variables {
    deadlines = { queue = 604801 }
  }

  expect_failures = [var.deadlines]
}

run "deadlines_that_outgrow_the_execution_history" {
  command = plan

  variables {
    deadlines = { cluster = 129600, configure = 129600, compensate = 129600 }
  }

  expect_failures = [aws_sfn_state_machine.this]
}

run "waits_that_outgrow_the_execution_history" {
  command = plan

  variables {
    waits = { cap_seconds = 60 }
  }

  expect_failures = [aws_sfn_state_machine.this]
}

run "queue_that_outgrows_the_execution_history" {
  command = plan

  variables {
    deadlines = { queue = 604800 }
  }

  expect_failures = [aws_sfn_state_machine.this]
}

run "deadlines_that_fit_with_longer_waits" {
  command = plan

  variables {
    deadlines = { cluster = 129600, configure = 129600, compensate = 129600 }
    waits     = { cap_seconds = 900 }
  }
}

run "lanes_of_nothing" {
  command = plan

  variables {
    copies = { lanes = 0 }
  }

  expect_failures = [var.copies]
}

run "more_lanes_than_aws_would_give" {
  command = plan

  variables {
    copies = { lanes = 21 }
  }

  expect_failures = [var.copies]
}

run "lanes_in_parts" {
  command = plan

  variables {
    copies = { lanes = 2.5 }
  }

  expect_failures = [var.copies]
}

run "source_account_by_name" {
  command = plan

  variables {
    source_accounts = { production = { role_arn = "arn:aws:iam::444455556666:role/snapshots", external_id = "sesame-1" } }
  }

  expect_failures = [var.source_accounts]
}

run "source_account_that_is_the_deployments_own" {
  command = plan

  variables {
    source_accounts = { "111122223333" = { role_arn = "arn:aws:iam::111122223333:role/snapshots", external_id = "sesame-1" } }
  }

  expect_failures = [var.source_accounts]
}

run "source_role_of_another_account" {
  command = plan

  variables {
    source_accounts = { "444455556666" = { role_arn = "arn:aws:iam::777788889999:role/snapshots", external_id = "sesame-1" } }
  }

  expect_failures = [var.source_accounts]
}

run "source_role_by_name" {
  command = plan

  variables {
    source_accounts = { "444455556666" = { role_arn = "snapshots", external_id = "sesame-1" } }
  }

  expect_failures = [var.source_accounts]
}

run "external_id_too_short" {
  command = plan

  variables {
    source_accounts = { "444455556666" = { role_arn = "arn:aws:iam::444455556666:role/snapshots", external_id = "x" } }
  }

  expect_failures = [var.source_accounts]
}

run "external_id_with_a_space" {
  command = plan

  variables {
    source_accounts = { "444455556666" = { role_arn = "arn:aws:iam::444455556666:role/snapshots", external_id = "open sesame" } }
  }

  expect_failures = [var.source_accounts]
}

run "share_key_of_another_account" {
  command = plan

  variables {
    source_accounts = { "444455556666" = {
      role_arn           = "arn:aws:iam::444455556666:role/snapshots"
      external_id        = "sesame-1"
      share_kms_key_arns = { "eu-west-1" = "arn:aws:kms:eu-west-1:777788889999:key/22222222-2222-4222-8222-222222222222" }
    } }
  }

  expect_failures = [var.source_accounts]
}

run "share_key_of_another_region" {
  command = plan

  variables {
    source_accounts = { "444455556666" = {
      role_arn           = "arn:aws:iam::444455556666:role/snapshots"
      external_id        = "sesame-1"
      share_kms_key_arns = { "eu-west-1" = "arn:aws:kms:eu-central-1:444455556666:key/22222222-2222-4222-8222-222222222222" }
    } }
  }

  expect_failures = [var.source_accounts]
}

run "share_key_by_alias" {
  command = plan

  variables {
    source_accounts = { "444455556666" = {
      role_arn           = "arn:aws:iam::444455556666:role/snapshots"
      external_id        = "sesame-1"
      share_kms_key_arns = { "eu-west-1" = "arn:aws:kms:eu-west-1:444455556666:alias/share" }
    } }
  }

  expect_failures = [var.source_accounts]
}

run "source_accounts_too_long" {
  command = plan

  variables {
    source_accounts = { for i in range(30) : format("4444555566%02d", i) => {
      role_arn    = format("arn:aws:iam::4444555566%02d:role/snapshots", i)
      external_id = join("", [for j in range(120) : "0123456789"])
    } }
  }

  expect_failures = [var.source_accounts]
}

run "snapshot_key_by_alias" {
  command = plan

  variables {
    snapshot_kms_key_arns = ["arn:aws:kms:eu-west-1:444455556666:alias/share"]
  }

  expect_failures = [var.snapshot_kms_key_arns]
}

run "record_ttl" {
  command = plan

  variables {
    record_ttl_days = 0
  }

  expect_failures = [var.record_ttl_days]
}

run "record_ttl_in_parts" {
  command = plan

  variables {
    record_ttl_days = 1.5
  }

  expect_failures = [var.record_ttl_days]
}

run "subscription_by_plain_http" {
  command = plan

  variables {
    notifications = { subscriptions = { hook = { protocol = "http", endpoint = "http://example.com" } } }
  }

  expect_failures = [var.notifications]
}

run "subscription_filter_that_is_not_json" {
  command = plan

  variables {
    notifications = { subscriptions = { team = { protocol = "email", endpoint = "a@example.com", filter_policy = "FAILED" } } }
  }

  expect_failures = [var.notifications]
}

run "subscription_filter_scope" {
  command = plan

  variables {
    notifications = { subscriptions = { team = { protocol = "email", endpoint = "a@example.com", filter_policy_scope = "Body" } } }
  }

  expect_failures = [var.notifications]
}

run "subscription_to_firehose_without_role" {
  command = plan

  variables {
    notifications = { subscriptions = { stream = { protocol = "firehose", endpoint = "arn:aws:firehose:eu-west-1:111122223333:deliverystream/s" } } }
  }

  expect_failures = [var.notifications]
}

run "passable_role_by_name" {
  command = plan

  variables {
    passable_role_arns = ["rds-monitoring"]
  }

  expect_failures = [var.passable_role_arns]
}
