output "state_machine_arn" {
  description = "The state machine: start executions of this."
  value       = module.aurora_restore.state_machine_arn
}

output "start_command" {
  description = "A start command to paste."
  value       = module.aurora_restore.start_command
}

output "state_table_name" {
  description = "The record of each operation."
  value       = module.aurora_restore.state_table_name
}

output "audit_table_name" {
  description = "The events of each operation."
  value       = module.aurora_restore.audit_table_name
}

output "topic_arn" {
  description = "The topic that outcomes are published to."
  value       = module.aurora_restore.topic_arn
}

output "kms_key_arn" {
  description = "The key of tables, topic, logs and secrets."
  value       = module.aurora_restore.kms_key_arn
}

output "function_arns" {
  description = "The published version of each function, by step."
  value       = module.aurora_restore.function_arns
}

output "role_arns" {
  description = "The role of each function, by step."
  value       = module.aurora_restore.role_arns
}

output "log_group_names" {
  description = "The log group of each function, by step."
  value       = module.aurora_restore.log_group_names
}

output "source_account" {
  description = "The source account as the pipeline knows it: role, external id, keys to share under by region."
  value       = module.source_account.source_account
}
