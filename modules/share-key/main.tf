################################################################################
# A key of the source account under which snapshots are copied to be shared, in the provider's region
#
# A snapshot under the default key (aws/rds) or a key that AWS owns cannot be shared with another account; a copy of it under
# this key can. Keys are regional: one for each region in which the pipeline shall make such copies.
################################################################################

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  # RDS of any region: in a copy to another one, which region's RDS KMS sees is not documented.
  through_rds = { StringLike = { "kms:ViaService" = "rds.*.${data.aws_partition.current.dns_suffix}" } }
}

resource "aws_kms_key" "this" {
  description             = "${var.name}: snapshots on their way to the Aurora Restore Pipeline"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_window_days
  tags                    = var.tags

  # Administrators of the account manage the key and do not use it. Who uses it is named: the source account's role, which
  # copies to it, and the pipeline's roles, which only read what is under it; both for RDS alone. (Aurora user guide: sharing
  # encrypted snapshots.)
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Administration"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action = [
          "kms:CancelKeyDeletion",
          "kms:CreateAlias",
          "kms:Delete*",
          "kms:Describe*",
          "kms:Disable*",
          "kms:Enable*",
          "kms:Get*",
          "kms:List*",
          "kms:Put*",
          "kms:RevokeGrant",
          "kms:RotateKeyOnDemand",
          "kms:ScheduleKeyDeletion",
          "kms:TagResource",
          "kms:UntagResource",
          "kms:Update*",
        ]
        Resource = "*"
      },
      {
        Sid       = "LookAt" # directly: the preflight asks before anything is copied
        Effect    = "Allow"
        Principal = { AWS = concat([var.source_role_arn], var.key_role_arns) }
        Action    = "kms:DescribeKey"
        Resource  = "*"
      },
      {
        Sid       = "CopyTo"
        Effect    = "Allow"
        Principal = { AWS = var.source_role_arn }
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = local.through_rds
      },
      {
        Sid       = "ReadFrom"
        Effect    = "Allow"
        Principal = { AWS = var.key_role_arns }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*", "kms:ReEncryptFrom"]
        Resource  = "*"
        Condition = local.through_rds
      },
      {
        # RDS goes on after the call by grants. kms:GrantIsForAWSResource is a key of grant calls only: in a statement with
        # other actions these would never match.
        Sid       = "GrantsForRds"
        Effect    = "Allow"
        Principal = { AWS = concat([var.source_role_arn], var.key_role_arns) }
        Action    = "kms:CreateGrant"
        Resource  = "*"
        Condition = merge(local.through_rds, { Bool = { "kms:GrantIsForAWSResource" = "true" } })
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
