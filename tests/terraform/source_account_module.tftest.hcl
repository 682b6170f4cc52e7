# modules/source-account: who takes its role on, and what that may do. The mocked account is the source account here.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

variables {
  deployment = "restore"
  pipeline_role_arns = [
    "arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1",
    "arn:aws:iam::777788889999:role/restore-snapshot-check-eu-west-1",
  ]
  external_id = "2f1d7e0a-5a0c-4b59-9b0a-1f6f0a7c2d31"
}

run "trust" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Principal = { AWS = ["arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1", "arn:aws:iam::777788889999:role/restore-snapshot-check-eu-west-1"] }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "sts:ExternalId" = "2f1d7e0a-5a0c-4b59-9b0a-1f6f0a7c2d31" } }
    }]
    error_message = "The pipeline's own roles, with the external id, and nobody else."
  }

  assert {
    condition     = aws_iam_role.this.name == "restore-snapshot-source" && aws_iam_role.this.path == "/" && aws_iam_role.this.tags == tomap({ "aurora-restore:deployment" = "restore" })
    error_message = "Named for the deployment, and without the tag of what the pipeline makes."
  }
}

run "trust_within_an_organization" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    organization_id      = "o-a1b2c3d4e5"
    role_path            = "/platform/"
    permissions_boundary = "arn:aws:iam::111122223333:policy/boundary"
    tags                 = { team = "databases" }
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition == {
      StringEquals = { "sts:ExternalId" = "2f1d7e0a-5a0c-4b59-9b0a-1f6f0a7c2d31", "aws:PrincipalOrgID" = "o-a1b2c3d4e5" }
    }
    error_message = "Both are asked for."
  }

  assert {
    condition = (
      aws_iam_role.this.path == "/platform/" && aws_iam_role.this.permissions_boundary == "arn:aws:iam::111122223333:policy/boundary" &&
      aws_iam_role.this.tags["team"] == "databases"
    )
    error_message = "Path, boundary and tags are the caller's."
  }
}

run "policy" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => {
      for name, value in statement : name => value if !contains(["Sid", "Effect"], name)
      } } == {
      LookUp = {
        Action = [
          "rds:DescribeAccountAttributes", "rds:DescribeDBClusterSnapshotAttributes", "rds:DescribeDBClusterSnapshots", "rds:DescribeDBClusters",
          "rds:DescribeEvents",
        ]
        Resource = "*"
      }
      CopyToOurs = {
        Action    = ["rds:CopyDBClusterSnapshot"]
        Resource  = "arn:aws:rds:*:111122223333:cluster-snapshot:*"
        Condition = { StringEquals = { "aws:RequestTag/aurora-restore:managed-by" = "restore" } }
      }
      TagOurs = {
        Action   = ["rds:AddTagsToResource"]
        Resource = "arn:aws:rds:*:111122223333:cluster-snapshot:*"
        Condition = {
          StringEquals         = { "aws:RequestTag/aurora-restore:managed-by" = "restore" }
          StringEqualsIfExists = { "aws:ResourceTag/aurora-restore:managed-by" = "restore" }
        }
      }
      ReachOtherRegions = { Action = ["rds:CrossRegionCommunication"], Resource = "*" }
      Share             = { Action = ["rds:ModifyDBClusterSnapshotAttribute"], Resource = "arn:aws:rds:*:111122223333:cluster-snapshot:*" }
      DeleteOurCopies = {
        Action    = ["rds:DeleteDBClusterSnapshot"]
        Resource  = "arn:aws:rds:*:111122223333:cluster-snapshot:*"
        Condition = { StringEquals = { "aws:ResourceTag/aurora-restore:managed-by" = "restore" } }
      }
      LookAtKeys = { Action = ["kms:DescribeKey"], Resource = "arn:aws:kms:*:111122223333:key/*" }
      ReencryptSnapshots = {
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "arn:aws:kms:*:111122223333:key/*"
        Condition = { StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" } }
      }
      GrantsForRds = {
        Action   = ["kms:CreateGrant"]
        Resource = "arn:aws:kms:*:111122223333:key/*"
        Condition = {
          StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" }
          Bool       = { "kms:GrantIsForAWSResource" = "true" }
        }
      }
    }
    error_message = "Describe, copy with the tag, share, delete what bears the tag, and for RDS alone use this account's keys."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Effect == "Allow"])
    error_message = "Every statement allows."
  }
}

run "without_keys" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  assert {
    condition     = length(module.share_key) == 0 && length(aws_kms_grant.source_key) == 0
    error_message = "No key is made and none is opened unasked."
  }

  assert {
    condition = jsonencode(output.source_account) == jsonencode({
      "111122223333" = {
        role_arn           = "arn:aws:iam::111122223333:role/mocked"
        external_id        = "2f1d7e0a-5a0c-4b59-9b0a-1f6f0a7c2d31"
        share_kms_key_arns = {}
      }
    })
    error_message = "The output is an entry of the pipeline's source_accounts, and nothing else."
  }
}

run "with_keys" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    key_role_arns = [
      "arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1",
      "arn:aws:iam::777788889999:role/restore-restore-snapshot-eu-west-1",
    ]
    role_name           = "snapshots+copies"
    share_key           = {}
    share_kms_key_arns  = { "eu-central-1" = "arn:aws:kms:eu-central-1:111122223333:key/44444444-4444-4444-8444-444444444444" }
    source_kms_key_arns = { orders = "arn:aws:kms:eu-west-1:111122223333:key/55555555-5555-4555-8555-555555555555" }
  }

  assert {
    condition = output.source_account["111122223333"].share_kms_key_arns == tomap({
      "eu-central-1" = "arn:aws:kms:eu-central-1:111122223333:key/44444444-4444-4444-8444-444444444444"
      "eu-west-1"    = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000"
    })
    error_message = "The key made here stands beside those of other regions."
  }

  assert {
    condition = { for key, grant in aws_kms_grant.source_key : key => {
      name = grant.name, key = grant.key_id, to = grant.grantee_principal, operations = sort(grant.operations)
      } } == {
      for position, role in ["copy-snapshot", "restore-snapshot"] : "orders-${position}" => {
        name       = "restore-orders-${position}"
        key        = "arn:aws:kms:eu-west-1:111122223333:key/55555555-5555-4555-8555-555555555555"
        to         = "arn:aws:iam::777788889999:role/restore-${role}-eu-west-1"
        operations = tolist(["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom"])
      }
    }
    error_message = "Each key is opened to each role that uses keys, to read what is under it."
  }
}

run "long_names" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    deployment = "a234567890123456789012345678901234567890-a2345678901234567890"
  }

  assert {
    condition     = length(aws_iam_role.this.name) == 64 && startswith(aws_iam_role.this.name, "a234567890123456789012345678901234567890-a2345678901234-")
    error_message = "IAM ends at 64 characters."
  }
}

run "another_partition" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition = alltrue(flatten([
      for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : [
        for resource in flatten([statement.Resource]) : resource == "*" || startswith(resource, "arn:aws-cn:")
      ]
    ]))
    error_message = "ARNs are written with the partition."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement if statement.Sid == "ReencryptSnapshots"
    ]).Condition.StringLike["kms:ViaService"] == "rds.*.amazonaws.com.cn"
    error_message = "So are service names."
  }
}

run "deployment_by_another_name" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    deployment = "Aurora Restore"
  }

  expect_failures = [var.deployment]
}

run "trust_in_nobody" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    pipeline_role_arns = []
  }

  expect_failures = [var.pipeline_role_arns]
}

run "trust_in_a_whole_account" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    pipeline_role_arns = ["arn:aws:iam::777788889999:root"]
  }

  expect_failures = [var.pipeline_role_arns]
}

run "key_roles_that_are_no_roles" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    key_role_arns = ["777788889999"]
  }

  expect_failures = [var.key_role_arns]
}

run "grants_for_nobody" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    source_kms_key_arns = { orders = "arn:aws:kms:eu-west-1:111122223333:key/55555555-5555-4555-8555-555555555555" }
  }

  expect_failures = [var.key_role_arns]
}

run "share_key_for_nobody" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    share_key = {}
  }

  expect_failures = [var.key_role_arns]
}

run "external_id_to_guess" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    external_id = "sesame"
  }

  expect_failures = [var.external_id]
}

run "external_id_with_a_space" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    external_id = "open sesame, please open"
  }

  expect_failures = [var.external_id]
}

run "organization_by_name" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    organization_id = "example"
  }

  expect_failures = [var.organization_id]
}

run "role_name_with_a_slash" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    role_name = "platform/snapshots"
  }

  expect_failures = [var.role_name]
}

run "role_path_without_slashes" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    role_path = "platform"
  }

  expect_failures = [var.role_path]
}

run "boundary_that_is_no_arn" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    permissions_boundary = "boundary"
  }

  expect_failures = [var.permissions_boundary]
}

run "share_key_of_another_account" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    share_kms_key_arns = { "eu-west-1" = "arn:aws:kms:eu-west-1:777788889999:key/44444444-4444-4444-8444-444444444444" }
  }

  expect_failures = [var.share_kms_key_arns]
}

run "share_key_of_another_region" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    share_kms_key_arns = { "eu-west-1" = "arn:aws:kms:eu-central-1:111122223333:key/44444444-4444-4444-8444-444444444444" }
  }

  expect_failures = [var.share_kms_key_arns]
}

run "source_key_of_another_region" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    key_role_arns       = ["arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1"]
    source_kms_key_arns = { orders = "arn:aws:kms:eu-central-1:111122223333:key/55555555-5555-4555-8555-555555555555" }
  }

  expect_failures = [var.source_kms_key_arns]
}

run "source_key_with_a_name_that_is_no_grants" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    key_role_arns       = ["arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1"]
    source_kms_key_arns = { "orders and more" = "arn:aws:kms:eu-west-1:111122223333:key/55555555-5555-4555-8555-555555555555" }
  }

  expect_failures = [var.source_kms_key_arns]
}

run "tags_of_the_pipeline" {
  command = plan

  module {
    source = "./modules/source-account"
  }

  variables {
    tags = { "aurora-restore:managed-by" = "restore" }
  }

  expect_failures = [var.tags]
}
