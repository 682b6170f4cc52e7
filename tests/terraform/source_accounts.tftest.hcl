# Snapshots of other accounts: what knowing such an account adds, and to whom.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

variables {
  name     = "restore"
  database = null
}

run "none" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : !contains(["SourceAccounts", "SourceKeys", "SourceKeyGrants"], statement.Sid) && length(flatten([statement.Resource])) > 0
      ]
    ]))
    error_message = "Nobody reaches into other accounts, and no statement is without resources."
  }
}

run "two" {
  command = plan

  variables {
    source_accounts = {
      "444455556666" = {
        role_arn           = "arn:aws:iam::444455556666:role/platform/snapshots"
        external_id        = "sesame-1"
        share_kms_key_arns = { "eu-west-1" = "arn:aws:kms:eu-west-1:444455556666:key/22222222-2222-4222-8222-222222222222" }
      }
      "777788889999" = { role_arn = "arn:aws:iam::777788889999:role/snapshots", external_id = "a+b=c,d.e@f:g/h-i_j" }
    }
    snapshot_kms_key_arns = ["arn:aws:kms:eu-west-1:222200001111:key/33333333-3333-4333-8333-333333333333"]
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => [
        for statement in jsondecode(policy.policy).Statement : { Action = statement.Action, Resource = statement.Resource } if statement.Sid == "SourceAccounts"
      ]
      } == {
      for key in keys(aws_iam_role_policy.step) : key => [
        for statement in [{
          Action   = ["sts:AssumeRole"]
          Resource = ["arn:aws:iam::444455556666:role/platform/snapshots", "arn:aws:iam::777788889999:role/snapshots"]
        }] : statement if contains(["check_copy_status", "cleanup", "compensate", "copy_snapshot", "snapshot_check"], key)
      ]
    }
    error_message = "Five steps take on exactly the roles that are named."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => {
        for statement in jsondecode(policy.policy).Statement : statement.Sid => flatten([statement.Resource])
        if anytrue([for resource in flatten([statement.Resource]) : can(regex(":kms:[a-z0-9*-]+:(444455556666|777788889999|222200001111):", resource))])
      }
      } == merge({ for key in keys(aws_iam_role_policy.step) : key => {} }, {
        snapshot_check = {
          LookAtKeys = [
            "arn:aws:kms:*:111122223333:key/*", "arn:aws:kms:*:444455556666:key/*", "arn:aws:kms:*:777788889999:key/*",
            "arn:aws:kms:eu-west-1:222200001111:key/33333333-3333-4333-8333-333333333333",
          ]
        }
        copy_snapshot = {
          SourceKeys = [
            "arn:aws:kms:*:444455556666:key/*", "arn:aws:kms:*:777788889999:key/*",
            "arn:aws:kms:eu-west-1:222200001111:key/33333333-3333-4333-8333-333333333333",
          ]
          SourceKeyGrants = [
            "arn:aws:kms:*:444455556666:key/*", "arn:aws:kms:*:777788889999:key/*",
            "arn:aws:kms:eu-west-1:222200001111:key/33333333-3333-4333-8333-333333333333",
          ]
        }
        create_instances = {
          SourceKeys = [
            "arn:aws:kms:eu-west-1:444455556666:key/*", "arn:aws:kms:eu-west-1:777788889999:key/*",
            "arn:aws:kms:eu-west-1:222200001111:key/33333333-3333-4333-8333-333333333333",
          ]
          SourceKeyGrants = [
            "arn:aws:kms:eu-west-1:444455556666:key/*", "arn:aws:kms:eu-west-1:777788889999:key/*",
            "arn:aws:kms:eu-west-1:222200001111:key/33333333-3333-4333-8333-333333333333",
          ]
        }
        restore_snapshot = {
          SourceKeys = [
            "arn:aws:kms:eu-west-1:444455556666:key/*", "arn:aws:kms:eu-west-1:777788889999:key/*",
            "arn:aws:kms:eu-west-1:222200001111:key/33333333-3333-4333-8333-333333333333",
          ]
          SourceKeyGrants = [
            "arn:aws:kms:eu-west-1:444455556666:key/*", "arn:aws:kms:eu-west-1:777788889999:key/*",
            "arn:aws:kms:eu-west-1:222200001111:key/33333333-3333-4333-8333-333333333333",
          ]
        }
    })
    error_message = "Other accounts' keys are named to those steps only whose roles the output source_key_role_arns lists, copies anywhere, restores here."
  }

  assert {
    condition = {
      for step in ["copy_snapshot", "create_instances", "restore_snapshot"] : step => {
        for statement in jsondecode(aws_iam_role_policy.step[step].policy).Statement : statement.Sid => merge({ Action = statement.Action }, statement.Condition)
        if contains(["SourceKeys", "SourceKeyGrants"], statement.Sid)
      }
      } == {
      for step, through in {
        copy_snapshot    = { StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" } }
        create_instances = { StringEquals = { "kms:ViaService" = "rds.eu-west-1.amazonaws.com" } }
        restore_snapshot = { StringEquals = { "kms:ViaService" = "rds.eu-west-1.amazonaws.com" } }
        } : step => {
        SourceKeys      = merge({ Action = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:ReEncryptFrom"] }, through)
        SourceKeyGrants = merge({ Action = ["kms:CreateGrant"], Bool = { "kms:GrantIsForAWSResource" = "true" } }, through)
      }
    }
    error_message = "They are read for RDS, and nothing is re-encrypted to them."
  }

  assert {
    condition = jsondecode(jsondecode(local.source_accounts_json)) == {
      "444455556666" = {
        role_arn           = "arn:aws:iam::444455556666:role/platform/snapshots"
        external_id        = "sesame-1"
        share_kms_key_arns = { "eu-west-1" = "arn:aws:kms:eu-west-1:444455556666:key/22222222-2222-4222-8222-222222222222" }
      }
      "777788889999" = { role_arn = "arn:aws:iam::777788889999:role/snapshots", external_id = "a+b=c,d.e@f:g/h-i_j", share_kms_key_arns = {} }
    }
    error_message = "The workflow hands them to the preflight as they are."
  }
}

# The state machine's role, functions' settings and trust do not know of source accounts: nothing else changes with them.
run "outputs_do_not_wait_for_source_accounts" {
  command = plan

  assert {
    condition     = toset(local.source_access_steps) == toset(["check_copy_status", "cleanup", "compensate", "copy_snapshot", "snapshot_check"])
    error_message = "The roles that take on a source account's role."
  }

  assert {
    condition     = toset(local.source_key_steps) == toset(["copy_snapshot", "create_instances", "restore_snapshot", "snapshot_check"])
    error_message = "The roles that use source accounts' keys."
  }
}
