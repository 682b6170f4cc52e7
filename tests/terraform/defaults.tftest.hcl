# What a caller gets who gives nothing but a name and a VPC.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

variables {
  name       = "restore"
  vpc_config = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
}

run "functions" {
  command = plan

  assert {
    condition = toset(keys(aws_lambda_function.step)) == toset([
      "snapshot_check", "copy_snapshot", "check_copy_status", "restore_snapshot", "check_restore_status", "configure_cluster", "create_instances",
      "complete_cluster", "check_settings",
      "setup_db_users", "verify_restore", "cleanup", "compensate", "sns_notification",
    ])
    error_message = "One function for each step."
  }

  assert {
    condition     = alltrue([for key, function in aws_lambda_function.step : function.handler == "aurora_restore.handlers.${key}.handler"])
    error_message = "A step's key is its handler's module."
  }

  assert {
    condition = alltrue([
      for function in aws_lambda_function.step :
      function.runtime == "python3.13" && function.architectures == tolist(["arm64"]) && function.publish && function.tracing_config[0].mode == "Active"
    ])
    error_message = "Python 3.13 on arm64, versions published, traced."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.step : function.reserved_concurrent_executions == -1])
    error_message = "No concurrency is reserved unasked."
  }

  assert {
    condition     = alltrue([for key, function in aws_lambda_function.step : (length(function.vpc_config) == 1) == contains(["setup_db_users", "verify_restore"], key)])
    error_message = "Only the functions that connect to databases sit in the VPC."
  }

  assert {
    condition     = aws_lambda_function.step["setup_db_users"].memory_size == 1024 && aws_lambda_function.step["cleanup"].memory_size == 512
    error_message = "Database functions have more memory."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.step : function.s3_key == "lambda/${output.package.source_hash}.zip" && function.filename == null])
    error_message = "Functions find their code by the S3 key that is named for its sources."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.step : function.kms_key_arn == output.kms_key_arn])
    error_message = "Settings are encrypted with the module's key."
  }
}

run "environment_of_functions" {
  command = plan

  assert {
    condition = aws_lambda_function.step["snapshot_check"].environment[0].variables == tomap({
      ARP_DEPLOYMENT               = "restore"
      ARP_ENVIRONMENT              = ""
      ARP_STATE_TABLE              = "AuroraRestoreState"
      ARP_AUDIT_TABLE              = "AuroraRestoreAudit"
      ARP_TOPIC_ARN                = "arn:aws:sns:eu-west-1:111122223333:mocked-notifications"
      ARP_KMS_KEY_ARN              = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000"
      ARP_SECRET_PREFIX            = "aurora-restore/restore"
      ARP_TAGS                     = "{}"
      ARP_RECORD_TTL_DAYS          = "90"
      ARP_WAIT_FLOOR_SECONDS       = "10"
      ARP_WAIT_CAP_SECONDS         = "600"
      ARP_RDS_CALLS_PER_SECOND     = "2"
      ARP_COPY_LANES               = "5"
      ARP_DEADLINES                = "{\"cluster\":86400,\"compensate\":86400,\"configure\":7200,\"copy\":86400,\"instance\":21600,\"queue\":172800}"
      ARP_DATABASE                 = "enabled"
      ARP_DB_CONNECT_TIMEOUT       = "10"
      ARP_EXTRA_CA_PEM             = ""
      ARP_SOURCE_HASH              = substr(output.package.source_hash, 0, 12)
      POWERTOOLS_SERVICE_NAME      = "snapshot_check"
      POWERTOOLS_METRICS_NAMESPACE = "AuroraRestore"
      POWERTOOLS_LOG_LEVEL         = "INFO"
    })
    error_message = "The functions' settings are a contract with aurora_restore/settings.py."
  }
}

run "logs" {
  command = plan

  assert {
    condition     = alltrue([for key, group in aws_cloudwatch_log_group.step : group.name == "/aws/lambda/restore-${replace(key, "_", "-")}"])
    error_message = "A log group under each function's own name."
  }

  assert {
    condition     = alltrue([for group in concat(values(aws_cloudwatch_log_group.step), [aws_cloudwatch_log_group.machine]) : group.retention_in_days == 365 && group.kms_key_id == output.kms_key_arn])
    error_message = "Log groups have retention and the key."
  }
}

run "tables" {
  command = plan

  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.state, aws_dynamodb_table.audit] :
      table.billing_mode == "PAY_PER_REQUEST" && table.point_in_time_recovery[0].enabled && table.server_side_encryption[0].enabled &&
      table.server_side_encryption[0].kms_key_arn == output.kms_key_arn && table.deletion_protection_enabled && table.hash_key == "operation_id"
    ])
    error_message = "On demand, recoverable, encrypted with the key, protected."
  }

  assert {
    condition     = aws_dynamodb_table.state.ttl[0].attribute_name == "expires_at" && aws_dynamodb_table.state.ttl[0].enabled
    error_message = "Finished records expire."
  }

  assert {
    condition     = aws_dynamodb_table.audit.range_key == "event_id" && length(aws_dynamodb_table.audit.ttl) == 0
    error_message = "Audit events are sorted, and never expire."
  }
}

run "state_machine" {
  command = plan

  assert {
    condition     = aws_sfn_state_machine.this.name == "restore" && aws_sfn_state_machine.this.type == "STANDARD" && aws_sfn_state_machine.this.publish
    error_message = "A standard state machine with published versions."
  }

  assert {
    condition = (
      aws_sfn_state_machine.this.logging_configuration[0].level == "ALL" &&
      aws_sfn_state_machine.this.logging_configuration[0].include_execution_data &&
      aws_sfn_state_machine.this.logging_configuration[0].log_destination == "arn:aws:logs:eu-west-1:111122223333:log-group:mocked:*" &&
      aws_sfn_state_machine.this.tracing_configuration[0].enabled
    )
    error_message = "Logged with data, and traced."
  }

  assert {
    condition     = aws_cloudwatch_log_group.machine.name == "/aws/vendedlogs/states/restore"
    error_message = "The prefix keeps the group out of the log resource policy's size."
  }

  assert {
    condition = alltrue([
      for state in values(jsondecode(aws_sfn_state_machine.this.definition).States) :
      state.Resource == "arn:aws:states:::lambda:invoke" && can(regex(":function:mocked:7$", state.Parameters.FunctionName)) if state.Type == "Task"
    ])
    error_message = "Tasks invoke published versions of the functions."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.this.definition).States.WrapRequest.Parameters.defaults_json == "{}"
    error_message = "No defaults are an empty object."
  }

  # In case every phase lasts to its deadline: Step Functions ends an execution at 25,000 history events.
  assert {
    condition     = local.most_history_events > 22000 && local.most_history_events <= 25000
    error_message = "The default deadlines fit into an execution's history."
  }
}

run "defaults_of_the_request" {
  command = plan

  variables {
    defaults = {
      db_instance_class               = "db.r6g.large"
      vpc_security_group_ids          = ["sg-1", "sg-2"]
      serverless_v2_scaling           = { min_capacity = 0.5, max_capacity = 8 }
      db_cluster_parameter_group_name = null
      checks                          = [{ name = "quotes \"and\" <brackets> & $${dollars}", database = "shop", sql = "select 'ü\\n'", equals = "ü" }]
    }
  }

  assert {
    condition = jsondecode(jsondecode(aws_sfn_state_machine.this.definition).States.WrapRequest.Parameters.defaults_json) == {
      db_instance_class      = "db.r6g.large"
      vpc_security_group_ids = ["sg-1", "sg-2"]
      serverless_v2_scaling  = { min_capacity = 0.5, max_capacity = 8 }
      checks                 = [{ name = "quotes \"and\" <brackets> & $${dollars}", database = "shop", sql = "select 'ü\\n'", equals = "ü" }]
    }
    error_message = "Defaults reach the workflow as they are, less nulls."
  }
}

run "topic" {
  command = plan

  assert {
    condition     = aws_sns_topic.notifications.name == "restore-notifications" && aws_sns_topic.notifications.kms_master_key_id == output.kms_key_arn
    error_message = "The topic is encrypted with the key."
  }

  assert {
    condition = jsondecode(aws_sns_topic_policy.notifications.policy).Statement == [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sns:Publish"
      Resource  = "arn:aws:sns:eu-west-1:111122223333:mocked-notifications"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "The topic refuses plain HTTP and leaves the rest to IAM."
  }

  assert {
    condition     = length(aws_sns_topic_subscription.notifications) == 0
    error_message = "Nobody is subscribed unasked."
  }
}

run "key" {
  command = plan

  assert {
    condition     = length(aws_kms_key.this) == 1 && aws_kms_key.this[0].enable_key_rotation && aws_kms_alias.this[0].name == "alias/restore"
    error_message = "A key of the module's own, rotated."
  }
}

run "package_bucket" {
  command = plan

  assert {
    condition = (
      aws_s3_bucket.package[0].bucket_prefix == "restore-" &&
      aws_s3_bucket_versioning.package[0].versioning_configuration[0].status == "Enabled" &&
      one(aws_s3_bucket_server_side_encryption_configuration.package[0].rule).apply_server_side_encryption_by_default[0].kms_master_key_id == output.kms_key_arn &&
      aws_s3_bucket_public_access_block.package[0].block_public_acls && aws_s3_bucket_public_access_block.package[0].block_public_policy &&
      aws_s3_bucket_public_access_block.package[0].ignore_public_acls && aws_s3_bucket_public_access_block.package[0].restrict_public_buckets
    )
    error_message = "Versioned, encrypted with the key, closed to the public."
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.package[0].policy).Statement == [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::package-bucket", "arn:aws:s3:::package-bucket/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "The bucket refuses plain HTTP."
  }

  assert {
    condition     = can(regex("^[0-9a-f]{64}$", output.package.source_hash)) && output.package.key == "lambda/${output.package.source_hash}.zip"
    error_message = "The plan knows the zip's name."
  }
}

run "outputs" {
  command = plan

  variables {
    defaults = { db_instance_class = "db.r6g.large", db_subnet_group_name = "databases" }
  }

  override_resource {
    target          = aws_dynamodb_table.audit
    override_during = plan
    values          = { arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/AuroraRestoreAudit" }
  }

  assert {
    condition     = output.start_command == "aws stepfunctions start-execution --region eu-west-1 --state-machine-arn arn:aws:states:eu-west-1:111122223333:stateMachine:mocked --input '{\"snapshot_identifier\":\"my-snapshot\",\"target_cluster_id\":\"my-restored-cluster\",\"vpc_security_group_ids\":[\"sg-0123456789abcdef0\"]}'"
    error_message = "The start command can be pasted: it has what the defaults leave out."
  }

  assert {
    condition     = output.state_table_name == "AuroraRestoreState" && output.audit_table_name == "AuroraRestoreAudit" && output.secret_prefix == "aurora-restore/restore"
    error_message = "Names for the consumer."
  }

  assert {
    condition     = output.state_table_arn == aws_dynamodb_table.state.arn && output.audit_table_arn == aws_dynamodb_table.audit.arn && output.state_table_arn != output.audit_table_arn
    error_message = "Tables by their ARNs, each its own."
  }

  assert {
    condition     = output.function_names == { for key in keys(aws_lambda_function.step) : key => "restore-${replace(key, "_", "-")}" }
    error_message = "Functions by their names."
  }

  assert {
    condition     = output.deployment == "restore" && length(output.source_access_role_arns) == 5 && length(output.source_key_role_arns) == 4
    error_message = "What a source account has to know."
  }

  assert {
    condition = (
      toset(keys(output.function_arns)) == toset(keys(aws_lambda_function.step)) &&
      toset(keys(output.role_arns)) == toset(concat(keys(aws_lambda_function.step), ["state_machine"])) &&
      toset(keys(output.log_group_names)) == toset(keys(output.role_arns))
    )
    error_message = "Functions, roles and log groups are named by step."
  }
}
