################################################################################
# What the pipeline needs in an account whose snapshots it restores elsewhere
#
# A role that only the pipeline's own roles take on; where asked for a key to share snapshots under, and grants on keys that
# snapshots are under already. Applied with the source account's provider.
################################################################################

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  snapshot_arns = "arn:${local.partition}:rds:*:${local.account_id}:cluster-snapshot:*"
  key_arns      = "arn:${local.partition}:kms:*:${local.account_id}:key/*"

  # IAM ends at 64 characters: a longer name is cut and kept unique by a hash.
  full_name = coalesce(var.role_name, "${var.deployment}-snapshot-source")
  role_name = length(local.full_name) <= 64 ? local.full_name : "${trimsuffix(substr(local.full_name, 0, 55), "-")}-${substr(md5(local.full_name), 0, 8)}"

  # As in the pipeline's account: what is made bears the deployment's tag, and only what bears it may be deleted.
  ours = { "aurora-restore:managed-by" = var.deployment }

  # RDS of any region: in a copy to another one, which region's RDS KMS sees is not documented.
  through_rds = { StringLike = { "kms:ViaService" = "rds.*.${data.aws_partition.current.dns_suffix}" } }

  tags = merge(var.tags, { "aurora-restore:deployment" = var.deployment })
}

################################################################################
# The role
################################################################################

resource "aws_iam_role" "this" {
  name                 = local.role_name
  description          = "${var.deployment}: the Aurora Restore Pipeline copies and shares snapshots of this account"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary

  # The pipeline's own roles, by name and with the external id: nobody else of its account (IAM: the confused deputy problem).
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { AWS = var.pipeline_role_arns }
        Action    = "sts:AssumeRole"
        Condition = {
          StringEquals = merge(
            { "sts:ExternalId" = var.external_id },
            var.organization_id == null ? {} : { "aws:PrincipalOrgID" = var.organization_id },
          )
        }
      },
    ]
  })

  tags = local.tags
}

resource "aws_iam_role_policy" "this" {
  name = "snapshots"
  role = aws_iam_role.this.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "LookUp"
        Effect = "Allow"
        Action = [
          "rds:DescribeAccountAttributes",
          "rds:DescribeDBClusterSnapshotAttributes",
          "rds:DescribeDBClusterSnapshots",
          "rds:DescribeDBClusters",
          "rds:DescribeEvents",
        ]
        Resource = "*"
      },
      {
        # The tag is asked for whichever snapshot of the request is looked at, the source or the copy.
        Sid       = "CopyToOurs"
        Effect    = "Allow"
        Action    = ["rds:CopyDBClusterSnapshot"]
        Resource  = local.snapshot_arns
        Condition = { StringEquals = { for key, value in local.ours : "aws:RequestTag/${key}" => value } }
      },
      {
        # IAM cannot tell tags given at creation from tags added later: tagging is held to the deployment's own, and takes over
        # nothing that bears another's. A snapshot without any such tag it cannot protect.
        Sid      = "TagOurs"
        Effect   = "Allow"
        Action   = ["rds:AddTagsToResource"]
        Resource = local.snapshot_arns
        Condition = {
          StringEquals         = { for key, value in local.ours : "aws:RequestTag/${key}" => value }
          StringEqualsIfExists = { for key, value in local.ours : "aws:ResourceTag/${key}" => value }
        }
      },
      {
        Sid      = "ReachOtherRegions"
        Effect   = "Allow"
        Action   = ["rds:CrossRegionCommunication"]
        Resource = "*"
      },
      {
        # Snapshots are shared as they are where no copy is needed. IAM knows no condition on whom they are shared with: that it
        # is the pipeline's account and never "all" is held in the pipeline's code alone.
        Sid      = "Share"
        Effect   = "Allow"
        Action   = ["rds:ModifyDBClusterSnapshotAttribute"]
        Resource = local.snapshot_arns
      },
      {
        Sid       = "DeleteOurCopies"
        Effect    = "Allow"
        Action    = ["rds:DeleteDBClusterSnapshot"]
        Resource  = local.snapshot_arns
        Condition = { StringEquals = { for key, value in local.ours : "aws:ResourceTag/${key}" => value } }
      },
      {
        Sid      = "LookAtKeys" # directly: the preflight asks before anything is copied
        Effect   = "Allow"
        Action   = ["kms:DescribeKey"]
        Resource = local.key_arns
      },
      {
        # Keys of this account only, and their own policies have the last word.
        Sid       = "ReencryptSnapshots"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = local.key_arns
        Condition = local.through_rds
      },
      {
        Sid       = "GrantsForRds"
        Effect    = "Allow"
        Action    = ["kms:CreateGrant"]
        Resource  = local.key_arns
        Condition = merge(local.through_rds, { Bool = { "kms:GrantIsForAWSResource" = "true" } })
      },
    ]
  })
}

################################################################################
# Keys
################################################################################

module "share_key" {
  source = "../share-key"
  count  = var.share_key == null ? 0 : 1

  name                 = "${replace(local.role_name, "/[+=,.@]/", "-")}-share"
  source_role_arn      = aws_iam_role.this.arn
  key_role_arns        = var.key_role_arns
  deletion_window_days = var.share_key.deletion_window_days
  tags                 = local.tags
}

# Keys that manual snapshots are under already: with these the snapshots can be shared as they are, and need no copy under
# another key first. What it takes to read under a foreign key (Aurora user guide: sharing encrypted snapshots), and no more; a
# grant on a key leaves its policy alone, which belongs to others.
resource "aws_kms_grant" "source_key" {
  for_each = merge([
    for name, arn in var.source_kms_key_arns : {
      for position, role_arn in var.key_role_arns : "${name}-${position}" => { key_arn = arn, role_arn = role_arn }
    }
  ]...)

  name              = "${var.deployment}-${each.key}"
  key_id            = each.value.key_arn
  grantee_principal = each.value.role_arn
  operations        = ["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom"]
}
