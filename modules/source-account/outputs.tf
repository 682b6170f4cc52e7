output "source_account" {
  description = "This account as the pipeline's `source_accounts` takes it; several are merged."
  value = {
    (local.account_id) = {
      role_arn           = aws_iam_role.this.arn
      external_id        = var.external_id
      share_kms_key_arns = tomap(merge(concat([var.share_kms_key_arns], module.share_key[*].share_kms_key_arns)...))
    }
  }
}

output "role_arn" {
  description = "The role, for `modules/share-key` in other regions."
  value       = aws_iam_role.this.arn
}
