################################################################################
# Functions: one per step, all from the same zip, told apart by handler, role and settings
################################################################################

resource "aws_lambda_function" "step" {
  for_each = local.functions

  function_name = each.value.name
  description   = each.value.description
  role          = aws_iam_role.step[each.key].arn
  handler       = "aurora_restore.handlers.${each.key}.handler"

  runtime       = var.lambda.runtime
  architectures = [var.lambda.architecture]
  memory_size   = each.value.in_vpc ? var.lambda.database_memory_size : var.lambda.memory_size
  timeout       = each.value.in_vpc ? var.lambda.database_timeout : var.lambda.timeout

  reserved_concurrent_executions = var.lambda.reserved_concurrency

  s3_bucket               = local.package.bucket
  s3_key                  = local.package.key
  s3_object_version       = local.package.version
  code_signing_config_arn = var.lambda.code_signing_config_arn

  # The state machine names versions, so that an apply in the middle of a restore does not swap the code under it.
  publish = true

  # Lambda holds 4 KB of environment (Lambda quotas): the variables' validations keep to it. No secrets are in here.
  kms_key_arn = local.kms_key_arn
  environment {
    variables = merge(local.common_environment, { POWERTOOLS_SERVICE_NAME = each.key })
  }

  tracing_config {
    mode = "Active"
  }

  dynamic "vpc_config" {
    for_each = each.value.in_vpc ? [var.vpc_config] : []

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  tags = local.tags

  # Without these Lambda would make a log group of its own (no retention, no key), or start without its permissions.
  depends_on = [
    aws_cloudwatch_log_group.step,
    aws_iam_role_policy.step,
  ]
}

locals {
  common_environment = {
    ARP_DEPLOYMENT               = local.deployment
    ARP_ENVIRONMENT              = var.environment
    ARP_STATE_TABLE              = aws_dynamodb_table.state.name
    ARP_AUDIT_TABLE              = aws_dynamodb_table.audit.name
    ARP_TOPIC_ARN                = aws_sns_topic.notifications.arn
    ARP_KMS_KEY_ARN              = local.kms_key_arn
    ARP_SECRET_PREFIX            = local.secret_prefix
    ARP_TAGS                     = jsonencode(var.tags)
    ARP_RECORD_TTL_DAYS          = tostring(var.record_ttl_days)
    ARP_WAIT_FLOOR_SECONDS       = tostring(var.waits.floor_seconds)
    ARP_WAIT_CAP_SECONDS         = tostring(var.waits.cap_seconds)
    ARP_COPY_LANES               = tostring(var.copies.lanes)
    ARP_RDS_CALLS_PER_SECOND     = tostring(var.waits.rds_calls_per_second)
    ARP_DEADLINES                = jsonencode(var.deadlines)
    ARP_DATABASE                 = local.database_enabled ? "enabled" : "disabled"
    ARP_DB_CONNECT_TIMEOUT       = tostring(local.database_enabled ? var.database.connect_timeout_seconds : 10)
    ARP_EXTRA_CA_PEM             = local.database_enabled ? var.database.extra_ca_pem : ""
    ARP_SOURCE_HASH              = substr(local.package_source_hash, 0, 12) # a prebuilt zip of other sources is refused
    POWERTOOLS_METRICS_NAMESPACE = "AuroraRestore"
    POWERTOOLS_LOG_LEVEL         = var.lambda.log_level
  }

  secret_prefix = "aurora-restore/${local.deployment}"
}

################################################################################
# Log groups
################################################################################

resource "aws_cloudwatch_log_group" "step" {
  for_each = local.functions

  name              = "/aws/lambda/${each.value.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}
