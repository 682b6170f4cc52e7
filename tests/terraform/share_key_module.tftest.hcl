# modules/share-key: a key of the source account that snapshots are copied to in order to be shared.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

variables {
  name            = "restore-share"
  source_role_arn = "arn:aws:iam::111122223333:role/restore-snapshot-source"
  key_role_arns = [
    "arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1",
    "arn:aws:iam::777788889999:role/restore-restore-snapshot-eu-west-1",
  ]
}

run "key" {
  command = plan

  module {
    source = "./modules/share-key"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30 && aws_kms_alias.this.name == "alias/restore-share"
    error_message = "Rotated, with an alias, and to be saved for a month after a destroy."
  }

  assert {
    condition     = output.share_kms_key_arns == { "eu-west-1" = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000000" } && output.key_arn == output.share_kms_key_arns["eu-west-1"]
    error_message = "By its region, as modules/source-account and the pipeline take it."
  }
}

run "policy" {
  command = plan

  module {
    source = "./modules/share-key"
  }

  assert {
    condition = { for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Sid => {
      for name, value in statement : name => value if !contains(["Sid", "Effect"], name)
      } if statement.Sid != "Administration" } == {
      LookAt = {
        Principal = { AWS = ["arn:aws:iam::111122223333:role/restore-snapshot-source", "arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1", "arn:aws:iam::777788889999:role/restore-restore-snapshot-eu-west-1"] }
        Action    = "kms:DescribeKey"
        Resource  = "*"
      }
      CopyTo = {
        Principal = { AWS = var.source_role_arn }
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = { StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" } }
      }
      ReadFrom = {
        Principal = { AWS = ["arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1", "arn:aws:iam::777788889999:role/restore-restore-snapshot-eu-west-1"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*", "kms:ReEncryptFrom"]
        Resource  = "*"
        Condition = { StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" } }
      }
      GrantsForRds = {
        Principal = { AWS = ["arn:aws:iam::111122223333:role/restore-snapshot-source", "arn:aws:iam::777788889999:role/restore-copy-snapshot-eu-west-1", "arn:aws:iam::777788889999:role/restore-restore-snapshot-eu-west-1"] }
        Action    = "kms:CreateGrant"
        Resource  = "*"
        Condition = {
          StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" }
          Bool       = { "kms:GrantIsForAWSResource" = "true" }
        }
      }
    }
    error_message = "The source account's role copies to it, the pipeline's roles read, both for RDS alone."
  }

  assert {
    condition = one([for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Principal if statement.Sid == "Administration"]) == {
      AWS = "arn:aws:iam::111122223333:root"
    }
    error_message = "The source account manages it."
  }

  assert {
    condition = alltrue(flatten([
      for statement in jsondecode(aws_kms_key.this.policy).Statement : [
        for action in statement.Action : !contains(["kms:*", "kms:Create*", "kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"], action)
      ] if statement.Sid == "Administration"
    ]))
    error_message = "Administrators manage the key and do not use it."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Effect == "Allow"])
    error_message = "Every statement allows."
  }
}

run "name_of_aws" {
  command = plan

  module {
    source = "./modules/share-key"
  }

  variables {
    name = "aws/rds"
  }

  expect_failures = [var.name]
}

run "name_with_a_space" {
  command = plan

  module {
    source = "./modules/share-key"
  }

  variables {
    name = "to share"
  }

  expect_failures = [var.name]
}

run "role_of_another_account" {
  command = plan

  module {
    source = "./modules/share-key"
  }

  variables {
    source_role_arn = "arn:aws:iam::777788889999:role/restore-snapshot-source"
  }

  expect_failures = [var.source_role_arn]
}

run "key_for_nobody" {
  command = plan

  module {
    source = "./modules/share-key"
  }

  variables {
    key_role_arns = []
  }

  expect_failures = [var.key_role_arns]
}

run "key_for_a_whole_account" {
  command = plan

  module {
    source = "./modules/share-key"
  }

  variables {
    key_role_arns = ["arn:aws:iam::777788889999:root"]
  }

  expect_failures = [var.key_role_arns]
}

run "deletion_window" {
  command = plan

  module {
    source = "./modules/share-key"
  }

  variables {
    deletion_window_days = 5
  }

  expect_failures = [var.deletion_window_days]
}
