output "state_machine_arn" {
  description = "The state machine: start executions of this."
  value       = aws_sfn_state_machine.this.arn
}

output "state_machine_version_arn" {
  description = "The version of the state machine that this apply published."
  value       = aws_sfn_state_machine.this.state_machine_version_arn
}

output "start_command" {
  description = "A start command to paste; put your snapshot and target in it, and what `defaults` leaves out."
  value = join(" ", [
    "aws stepfunctions start-execution",
    "--region ${local.region}",
    "--state-machine-arn ${aws_sfn_state_machine.this.arn}",
    "--input '${jsonencode(local.example_input)}'",
  ])
}

output "state_table_name" {
  description = "AuroraRestoreState: the record of each operation."
  value       = aws_dynamodb_table.state.name
}

output "state_table_arn" {
  description = "Its ARN, for policies of those who read records."
  value       = aws_dynamodb_table.state.arn
}

output "audit_table_name" {
  description = "AuroraRestoreAudit: the events of each operation."
  value       = aws_dynamodb_table.audit.name
}

output "audit_table_arn" {
  description = "Its ARN, for policies of those who read the audit trail."
  value       = aws_dynamodb_table.audit.arn
}

output "topic_arn" {
  description = "The topic that outcomes are published to."
  value       = aws_sns_topic.notifications.arn
}

output "kms_key_arn" {
  description = "The key that tables, topic, logs and secrets are encrypted with."
  value       = local.kms_key_arn
}

output "function_names" {
  description = "Each function's name by step, for alarms and dashboards."
  value       = { for key, function in aws_lambda_function.step : key => function.function_name }
}

output "function_arns" {
  description = "Each function's published version, which the state machine invokes, by step."
  value       = { for key, function in aws_lambda_function.step : key => function.qualified_arn }
}

output "role_arns" {
  description = "Each function's role by step, and the state machine's as `state_machine`."
  value       = merge({ for key, role in aws_iam_role.step : key => role.arn }, { state_machine = aws_iam_role.machine.arn })
}

output "source_access_role_arns" {
  description = "The roles that take on a source account's role: `pipeline_role_arns` of `modules/source-account`."
  value       = [for key in local.source_access_steps : aws_iam_role.step[key].arn]
}

output "source_key_role_arns" {
  description = "The roles that use source accounts' keys: `key_role_arns` of `modules/source-account` and `modules/share-key`."
  value       = [for key in local.source_key_steps : aws_iam_role.step[key].arn]
}

output "deployment" {
  description = "The deployment's name: the value of the tag `aurora-restore:managed-by` on whatever it makes."
  value       = local.deployment
}

output "log_group_names" {
  description = "Each function's log group by step, and the state machine's as `state_machine`."
  value       = merge({ for key, group in aws_cloudwatch_log_group.step : key => group.name }, { state_machine = aws_cloudwatch_log_group.machine.name })
}

output "secret_prefix" {
  description = "Application users' secrets are named `<this>/<target_cluster_id>/<user>`."
  value       = local.secret_prefix
}

output "package" {
  description = "Where the functions' code is: bucket, key, version, and the hash of the sources that it was built from."
  value       = merge(local.package, { source_hash = local.package_origin == "build" ? local.package_source_hash : null })
}
