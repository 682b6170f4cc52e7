output "key_arn" {
  description = "The key."
  value       = aws_kms_key.this.arn
}

output "share_kms_key_arns" {
  description = "The key by its region: `share_kms_key_arns` of `modules/source-account`; several are merged."
  value       = { (data.aws_region.current.id) = aws_kms_key.this.arn }
}
