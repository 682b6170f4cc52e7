################################################################################
# The key for tables, topic, logs, function settings, zip and secrets: the caller's, or one of our own
################################################################################

locals {
  kms_key_arn = var.kms_key == null ? one(aws_kms_key.this[*].arn) : var.kms_key.arn

  # The services that use the key for whoever calls them.
  kms_services = [for service in ["dynamodb", "lambda", "rds", "s3", "secretsmanager", "sns"] : "${service}.${local.region}.${local.dns_suffix}"]
}

resource "aws_kms_key" "this" {
  count = var.kms_key == null ? 1 : 0

  description             = "Aurora Restore Pipeline ${local.deployment}: tables, topic, logs, zip, secrets"
  enable_key_rotation     = true
  deletion_window_in_days = var.kms_key_deletion_window_days
  tags                    = local.tags

  # "root" stands for the account: its IAM policies decide who. Administrators can manage the key but not use it directly:
  # data keys and decryption are to be had through the services that keep this deployment's data, and no other way.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Administration"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
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
        Sid       = "UseThroughServices"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:ViaService" = local.kms_services } }
      },
      {
        # Services that go on using the key after the call (RDS storage, DynamoDB tables, Lambda settings) do so by grants.
        # kms:GrantIsForAWSResource is a key of grant calls only: a Decrypt in this statement would never match.
        Sid       = "GrantsForServices"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = "kms:CreateGrant"
        Resource  = "*"
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.${local.dns_suffix}" }
        Action    = ["kms:Decrypt", "kms:Describe*", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = {
          ArnLike = {
            "kms:EncryptionContext:aws:logs:arn" = [
              for name in concat([for function in local.functions : "/aws/lambda/${function.name}"], [local.machine_log_group]) :
              "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:${name}"
            ]
          }
        }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  count = length(aws_kms_key.this)

  name          = "alias/${local.deployment}"
  target_key_id = aws_kms_key.this[0].key_id
}
