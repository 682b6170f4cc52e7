# Who may do what: every IAM and key policy, decoded.

mock_provider "aws" {
  source          = "./tests/terraform/mocks"
  override_during = plan
}

variables {
  name       = "restore"
  vpc_config = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
}

run "trust" {
  command = plan

  assert {
    condition = alltrue([
      for role in aws_iam_role.step :
      jsondecode(role.assume_role_policy).Statement == [{ Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }]
    ])
    error_message = "Function roles are Lambda's."
  }

  assert {
    condition = jsondecode(aws_iam_role.machine.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = "111122223333" }
        ArnLike = {
          "aws:SourceArn" = [
            "arn:aws:states:eu-west-1:111122223333:stateMachine:restore",
            "arn:aws:states:eu-west-1:111122223333:stateMachine:restore:*",
          ]
        }
      }
    }]
    error_message = "Step Functions takes the state machine's role for this state machine only."
  }

  assert {
    condition     = length(aws_iam_role_policy.step) == length(aws_iam_role.step) && length(distinct([for role in aws_iam_role.step : role.name])) == 14
    error_message = "Each function has a role of its own."
  }
}

# What a step may do beyond what every function may do, as "<action>" lists.
run "actions_of_each_step" {
  command = plan

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => sort(distinct(flatten([
        for statement in jsondecode(policy.policy).Statement : statement.Action
        if statement.Effect == "Allow" && !contains(["Logs", "Traces", "State", "Audit", "KeyOfTablesAndSettings", "NetworkInterfacesForLambda"], statement.Sid)
      ])))
      } == {
      snapshot_check = tolist([
        "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
        "ec2:DescribeSecurityGroups", "kms:DescribeKey", "rds:DescribeAccountAttributes", "rds:DescribeDBClusterAutomatedBackups", "rds:DescribeDBClusterEndpoints", "rds:DescribeDBClusterParameterGroups",
        "rds:DescribeDBClusterSnapshots", "rds:DescribeDBClusters", "rds:DescribeDBEngineVersions",
        "rds:DescribeDBInstances", "rds:DescribeDBMajorEngineVersions", "rds:DescribeDBParameterGroups", "rds:DescribeDBSubnetGroups",
        "rds:DescribeOrderableDBInstanceOptions",
      ])
      copy_snapshot = tolist([
        "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*",
        "rds:AddTagsToResource", "rds:CopyDBClusterSnapshot", "rds:CrossRegionCommunication",
        "rds:DescribeDBClusterSnapshots", "states:SendTaskSuccess",
      ])
      check_copy_status    = tolist(["rds:DescribeDBClusterSnapshots", "rds:DescribeEvents"])
      restore_snapshot     = tolist(["iam:CreateServiceLinkedRole", "kms:CreateGrant", "kms:DescribeKey", "rds:AddTagsToResource", "rds:DescribeDBClusters", "rds:RestoreDBClusterFromSnapshot", "rds:RestoreDBClusterToPointInTime"])
      check_restore_status = tolist(["rds:DescribeDBClusterEndpoints", "rds:DescribeDBClusters", "rds:DescribeDBInstances", "rds:DescribeEvents"])
      configure_cluster = tolist([
        "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "rds:DescribeDBClusters", "rds:ModifyDBCluster",
        "secretsmanager:CreateSecret", "secretsmanager:TagResource",
      ])
      create_instances = tolist(["kms:CreateGrant", "kms:DescribeKey", "rds:AddTagsToResource", "rds:CreateDBInstance", "rds:DescribeDBClusters", "rds:DescribeDBInstances", "rds:RebootDBInstance"])
      complete_cluster = tolist([
        "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies", "application-autoscaling:PutScalingPolicy",
        "application-autoscaling:RegisterScalableTarget", "application-autoscaling:TagResource", "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms",
        "cloudwatch:PutMetricAlarm", "iam:CreateServiceLinkedRole", "rds:AddRoleToDBCluster", "rds:AddTagsToResource", "rds:CreateDBClusterEndpoint",
        "rds:CreateDBInstance", "rds:DeleteDBInstance", "rds:DescribeDBClusterEndpoints", "rds:DescribeDBClusters", "rds:DescribeDBInstances",
        "rds:EnableHttpEndpoint",
      ])
      check_settings = tolist([
        "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies", "rds:DescribeDBClusterEndpoints",
        "rds:DescribeDBClusters", "rds:DescribeDBInstances",
      ])
      setup_db_users = tolist([
        "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "rds:DescribeDBClusters", "secretsmanager:CreateSecret", "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:RestoreSecret", "secretsmanager:TagResource",
        "secretsmanager:UpdateSecretVersionStage",
      ])
      verify_restore = tolist(["kms:Decrypt", "rds:DescribeDBClusters", "rds:DescribeDBInstances", "secretsmanager:GetSecretValue"])
      cleanup = tolist([
        "rds:DeleteDBClusterSnapshot", "rds:DescribeDBClusterSnapshots", "rds:DescribeDBClusters",
        "rds:ModifyDBCluster", "states:SendTaskSuccess",
      ])
      compensate = tolist([
        "application-autoscaling:DeregisterScalableTarget", "rds:DeleteDBCluster", "rds:DeleteDBClusterSnapshot", "rds:DeleteDBInstance",
        "rds:DescribeDBClusterSnapshots", "rds:DescribeDBClusters", "rds:DescribeDBInstances", "states:SendTaskSuccess",
      ])
      sns_notification = tolist(["kms:Decrypt", "kms:GenerateDataKey*", "sns:Publish"])
    }
    error_message = "A step may do what it does, and nothing else."
  }
}

run "what_every_function_may" {
  command = plan

  override_resource {
    target          = aws_dynamodb_table.audit
    override_during = plan
    values          = { arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/audit" }
  }

  assert {
    condition = alltrue([
      for key, policy in aws_iam_role_policy.step : sort(flatten([
        for statement in jsondecode(policy.policy).Statement : statement.Action if statement.Resource == aws_dynamodb_table.state.arn
        ])) == (
        contains(["snapshot_check", "sns_notification"], key) ?
        tolist(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]) :
        tolist(["dynamodb:GetItem", "dynamodb:UpdateItem"])
      )
    ])
    error_message = "Records are made by the first and the last step, and updated by all."
  }

  assert {
    condition = alltrue([
      for policy in aws_iam_role_policy.step : flatten([
        for statement in jsondecode(policy.policy).Statement : statement.Action if statement.Resource == aws_dynamodb_table.audit.arn
      ]) == ["dynamodb:PutItem"]
    ])
    error_message = "The audit table is append-only."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : [
          for action in flatten([statement.Action]) :
          !contains(["dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "iam:PassRole", "kms:*", "rds:*", "rds:ModifyDBClusterSnapshotAttribute", "*"], action)
        ]
      ]
    ]))
    error_message = "No role deletes items, passes roles, shares snapshots of this account or has whole services."
  }

  assert {
    condition = alltrue([
      for key, policy in aws_iam_role_policy.step : alltrue([
        for statement in jsondecode(policy.policy).Statement : statement.Resource == "${aws_cloudwatch_log_group.step[key].arn}:*" if statement.Sid == "Logs"
      ])
    ])
    error_message = "A function writes to its own log group."
  }
}

run "only_what_bears_our_tag" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : try(statement.Condition.StringEquals["aws:ResourceTag/aurora-restore:managed-by"], "") == "restore"
        if length(setintersection(flatten([statement.Action]), ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:RestoreSecret", "secretsmanager:UpdateSecretVersionStage"])) > 0
        && !strcontains(jsonencode(statement.Resource), "rds!cluster-")
      ]
    ]))
    error_message = "A user's secret is read and written only when it bears this deployment's tag."
  }

  # The resource that an action makes or changes, by the reference that AWS publishes; the others are only referred to.
  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : try(statement.Condition.StringEquals["aws:RequestTag/aurora-restore:managed-by"], "") == "restore"
        if length(setintersection(flatten([statement.Action]), ["rds:RestoreDBClusterFromSnapshot", "rds:RestoreDBClusterToPointInTime", "rds:AddTagsToResource"])) > 0
        && anytrue([for resource in flatten([statement.Resource]) : endswith(resource, ":cluster:*")])
      ]
    ]))
    error_message = "A cluster is restored only with this deployment's tag."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : try(statement.Condition.StringEquals["aws:RequestTag/aurora-restore:managed-by"], "") == "restore"
        if contains(flatten([statement.Action]), "rds:CreateDBInstance") && contains(flatten([statement.Resource]), "arn:aws:rds:eu-west-1:111122223333:db:*")
      ]
    ]))
    error_message = "An instance is created only with this deployment's tag."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : try(statement.Condition.StringEquals["aws:ResourceTag/aurora-restore:managed-by"], "") == "restore"
        if length(setintersection(flatten([statement.Action]), ["rds:CreateDBInstance", "rds:DeleteDBCluster", "rds:DeleteDBInstance", "rds:ModifyDBCluster"])) > 0
        && anytrue([for resource in flatten([statement.Resource]) : can(regex(":(cluster|db):\\*$", resource))])
        && statement.Sid != "CreateOurs" # new instances: the assertion above
      ]
    ]))
    error_message = "What is modified, deleted or added to bears this deployment's tag."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : statement.Condition == {
          StringEquals         = { "aws:RequestTag/aurora-restore:managed-by" = "restore" }
          StringEqualsIfExists = { "aws:ResourceTag/aurora-restore:managed-by" = "restore" }
        } if contains(flatten([statement.Action]), "rds:AddTagsToResource") && statement.Sid != "TriedOutByAutoscaling"
      ]
    ]))
    error_message = "Tagging makes nothing ours that is another deployment's."
  }

  # Application Auto Scaling tries its caller's permissions out with made-up names; for the role's own calls they do not count.
  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => [
        for statement in jsondecode(policy.policy).Statement : statement.Condition if statement.Sid == "TriedOutByAutoscaling"
      ]
      } == {
      for key in keys(aws_iam_role_policy.step) : key => [
        for condition in [{ Bool = { "aws:ViaAWSService" = "true" } }] : condition if key == "complete_cluster"
      ]
    }
    error_message = "What Application Auto Scaling tries out is allowed to it alone."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => sort(distinct(flatten([
        for statement in jsondecode(policy.policy).Statement : statement.Action
        if can(statement.Condition.StringEquals["application-autoscaling:service-namespace"])
      ]))) if contains(["complete_cluster", "compensate"], key)
      } == {
      complete_cluster = tolist([
        "application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget",
      ])
      compensate = tolist(["application-autoscaling:DeregisterScalableTarget"])
    }
    error_message = "Scaling is changed for Aurora's readers only."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.step["create_instances"].policy).Statement :
      statement.Condition == { StringEquals = { "aws:ResourceTag/aurora-restore:managed-by" = "restore" } } if statement.Sid == "RebootOurs"
    ])
    error_message = "Only this deployment's instances are rebooted."
  }

  assert {
    condition = { for sid, statement in {
      for statement in jsondecode(aws_iam_role_policy.step["copy_snapshot"].policy).Statement : statement.Sid => statement
      } : sid => statement if contains(["CopyToOurs", "TagOurs"], sid) } == {
      CopyToOurs = {
        Sid       = "CopyToOurs"
        Effect    = "Allow"
        Action    = ["rds:CopyDBClusterSnapshot"]
        Resource  = "arn:aws:rds:*:*:cluster-snapshot:*"
        Condition = { StringEquals = { "aws:RequestTag/aurora-restore:managed-by" = "restore" } }
      }
      TagOurs = {
        Sid      = "TagOurs"
        Effect   = "Allow"
        Action   = ["rds:AddTagsToResource"]
        Resource = "arn:aws:rds:*:111122223333:cluster-snapshot:*"
        Condition = {
          StringEquals         = { "aws:RequestTag/aurora-restore:managed-by" = "restore" }
          StringEqualsIfExists = { "aws:ResourceTag/aurora-restore:managed-by" = "restore" }
        }
      }
    }
    error_message = "Snapshots are copied only with this deployment's tag."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => [
        for statement in jsondecode(policy.policy).Statement : statement if contains(flatten([statement.Action]), "rds:DeleteDBClusterSnapshot")
      ]
      } == {
      for key in keys(aws_iam_role_policy.step) : key => [
        for statement in [{
          Sid       = "DeleteOurCopies"
          Effect    = "Allow"
          Action    = ["rds:DeleteDBClusterSnapshot"]
          Resource  = "arn:aws:rds:*:111122223333:cluster-snapshot:*"
          Condition = { StringEquals = { "aws:ResourceTag/aurora-restore:managed-by" = "restore" } }
        }] : statement if contains(["cleanup", "compensate"], key)
      ]
    }
    error_message = "Snapshots are deleted by the clean-ups, and only those that bear this deployment's tag."
  }

  # Every resource type that RDS asks for is allowed somewhere, or the call would fail in AWS.
  assert {
    condition = alltrue([
      for wanted in [
        { step = "restore_snapshot", action = "rds:RestoreDBClusterFromSnapshot", types = ["cluster", "cluster-pg", "og", "subgrp"] },
        { step = "restore_snapshot", action = "rds:RestoreDBClusterToPointInTime", types = ["cluster", "cluster-auto-backup", "cluster-pg", "og", "subgrp"] },
        { step = "create_instances", action = "rds:CreateDBInstance", types = ["cluster", "db", "og", "pg", "subgrp"] },
        { step = "compensate", action = "rds:DeleteDBCluster", types = ["cluster", "cluster-snapshot"] },
        ] : alltrue([
          for type in wanted.types : contains(flatten([
            for statement in jsondecode(aws_iam_role_policy.step[wanted.step].policy).Statement : statement.Resource if contains(flatten([statement.Action]), wanted.action)
          ]), "arn:aws:rds:eu-west-1:111122223333:${type}:*")
      ])
    ])
    error_message = "An action needs all of its resource types."
  }

  assert {
    condition = contains(flatten([
      for statement in jsondecode(aws_iam_role_policy.step["restore_snapshot"].policy).Statement : statement.Resource
      if contains(flatten([statement.Action]), "rds:RestoreDBClusterFromSnapshot")
    ]), "arn:aws:rds:eu-west-1:*:cluster-snapshot:*")
    error_message = "Snapshots that other accounts share are restored too, in this region."
  }

  assert {
    condition = contains(flatten([
      for statement in jsondecode(aws_iam_role_policy.step["restore_snapshot"].policy).Statement : statement.Resource
      if contains(flatten([statement.Action]), "rds:RestoreDBClusterToPointInTime")
    ]), "arn:aws:rds:eu-west-1:*:cluster:*")
    error_message = "Clusters that other accounts share are cloned too, in this region."
  }
}

run "secrets" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : contains([
          "arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds!cluster-*",
          "arn:aws:secretsmanager:eu-west-1:111122223333:secret:aurora-restore/restore/*",
        ], statement.Resource) if anytrue([for action in flatten([statement.Action]) : startswith(action, "secretsmanager:")])
      ]
    ]))
    error_message = "Secrets are this deployment's own or RDS-managed ones."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.step["setup_db_users"].policy).Statement :
      statement.Condition.StringEquals["aws:RequestTag/aurora-restore:managed-by"] == "restore" if contains(flatten([statement.Action]), "secretsmanager:CreateSecret")
    ])
    error_message = "User secrets are created with this deployment's tag."
  }
}

run "keys" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement :
        can(statement.Condition.StringEquals["kms:ViaService"]) || try(statement.Condition.StringLike["kms:ViaService"], "") == "rds.*.amazonaws.com"
        if anytrue([for action in flatten([statement.Action]) : startswith(action, "kms:")]) && statement.Sid != "LookAtKeys"
      ]
    ]))
    error_message = "Keys are used through services only."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => [for statement in jsondecode(policy.policy).Statement : statement if statement.Sid == "LookAtKeys"]
      } == {
      for key in keys(aws_iam_role_policy.step) : key => [
        for statement in [{
          Sid      = "LookAtKeys"
          Effect   = "Allow"
          Action   = ["kms:DescribeKey"]
          Resource = ["arn:aws:kms:*:111122223333:key/*"]
        }] : statement if key == "snapshot_check"
      ]
    }
    error_message = "The preflight looks at keys, and at nothing that they protect."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement :
        statement.Condition.Bool["kms:GrantIsForAWSResource"] == "true" && statement.Action == ["kms:CreateGrant"] if contains(flatten([statement.Action]), "kms:CreateGrant")
      ]
    ]))
    error_message = "Grants are for AWS services only; the condition is known to grant calls alone."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : statement.Resource == output.kms_key_arn
        if contains(flatten([statement.Action]), "kms:Decrypt") && statement.Sid != "ReencryptOwnSnapshots"
      ]
    ]))
    error_message = "Roles decrypt with the module's key only."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => [
        for statement in jsondecode(policy.policy).Statement : statement if statement.Sid == "ReencryptOwnSnapshots"
      ]
      } == {
      for key in keys(aws_iam_role_policy.step) : key => [
        for statement in [{
          Sid       = "ReencryptOwnSnapshots"
          Effect    = "Allow"
          Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
          Resource  = "arn:aws:kms:*:111122223333:key/*"
          Condition = { StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" } }
        }] : statement if key == "copy_snapshot"
      ]
    }
    error_message = "Only who copies has RDS re-encrypt snapshots under other keys of this account."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => {
        for statement in jsondecode(policy.policy).Statement : statement.Sid => merge({ Resource = statement.Resource }, statement.Condition) if startswith(statement.Sid, "StorageKey")
      } if contains(["copy_snapshot", "restore_snapshot"], key)
      } == {
      copy_snapshot = {
        StorageKey = {
          Resource   = "arn:aws:kms:*:111122223333:key/*"
          StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" }
        }
        StorageKeyGrants = {
          Resource   = "arn:aws:kms:*:111122223333:key/*"
          StringLike = { "kms:ViaService" = "rds.*.amazonaws.com" }
          Bool       = { "kms:GrantIsForAWSResource" = "true" }
        }
      }
      restore_snapshot = {
        StorageKey = {
          Resource     = "arn:aws:kms:eu-west-1:111122223333:key/*"
          StringEquals = { "kms:ViaService" = "rds.eu-west-1.amazonaws.com" }
        }
        StorageKeyGrants = {
          Resource     = "arn:aws:kms:eu-west-1:111122223333:key/*"
          StringEquals = { "kms:ViaService" = "rds.eu-west-1.amazonaws.com" }
          Bool         = { "kms:GrantIsForAWSResource" = "true" }
        }
      }
    }
    error_message = "Copies use this account's keys in any region, restores those of this one."
  }
}

run "key_policy" {
  command = plan

  assert {
    condition     = [for statement in jsondecode(aws_kms_key.this[0].policy).Statement : statement.Sid] == ["Administration", "UseThroughServices", "GrantsForServices", "Logs"]
    error_message = "The key's policy is these four statements."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_kms_key.this[0].policy).Statement : statement.Principal == { AWS = "arn:aws:iam::111122223333:root" } if statement.Sid != "Logs"
    ])
    error_message = "The account's IAM policies decide who."
  }

  assert {
    condition = alltrue(flatten([
      for statement in jsondecode(aws_kms_key.this[0].policy).Statement : [
        for action in statement.Action : !contains(["kms:*", "kms:Create*", "kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"], action)
      ] if statement.Sid == "Administration"
    ]))
    error_message = "Administrators manage the key and do not use it."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_kms_key.this[0].policy).Statement : statement.Condition.StringEquals["kms:ViaService"] if statement.Sid == "UseThroughServices"
      ]) == [
      "dynamodb.eu-west-1.amazonaws.com", "lambda.eu-west-1.amazonaws.com", "rds.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com",
      "secretsmanager.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com",
    ]
    error_message = "The key is used through the services that keep this deployment's data."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_kms_key.this[0].policy).Statement : statement if statement.Sid == "GrantsForServices"
    ]).Condition == { Bool = { "kms:GrantIsForAWSResource" = "true" } }
    error_message = "Grants are for AWS services only."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_kms_key.this[0].policy).Statement : statement if statement.Sid == "Logs"
    ]).Principal == { Service = "logs.eu-west-1.amazonaws.com" }
    error_message = "CloudWatch Logs encrypts the log groups."
  }
}

run "state_machine" {
  command = plan

  assert {
    condition = toset(one([
      for statement in jsondecode(aws_iam_role_policy.machine.policy).Statement : statement.Resource if statement.Action == ["lambda:InvokeFunction"]
      ])) == toset([
      for function in aws_lambda_function.step : "arn:aws:lambda:eu-west-1:111122223333:function:${function.function_name}:*"
    ])
    error_message = "The state machine invokes published versions of the steps' functions."
  }

  assert {
    condition = sort(distinct([
      for action in flatten([for statement in jsondecode(aws_iam_role_policy.machine.policy).Statement : statement.Action]) : split(":", action)[0]
    ])) == tolist(["lambda", "logs", "xray"])
    error_message = "The state machine invokes, logs and traces."
  }
}

run "vpc" {
  command = plan

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => [
        for statement in jsondecode(policy.policy).Statement : statement.Effect if contains(flatten([statement.Action]), "ec2:CreateNetworkInterface")
      ]
      } == {
      for key in keys(aws_iam_role_policy.step) : key => [for effect in ["Allow", "Deny"] : effect if contains(["setup_db_users", "verify_restore"], key)]
    }
    error_message = "Functions in the VPC, and only they, have network interfaces made for them."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_iam_role_policy.step["setup_db_users"].policy).Statement : statement if statement.Effect == "Deny"
    ]).Condition == { ArnEquals = { "lambda:SourceFunctionArn" = "arn:aws:lambda:eu-west-1:111122223333:function:restore-setup-db-users" } }
    error_message = "Their own code is kept from it."
  }
}

run "another_partition" {
  command = plan

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  override_data {
    target = data.aws_region.current
    values = { id = "cn-north-1" }
  }

  # X-Ray's and CloudWatch's mocked ARNs are left out: what the module itself writes has to follow the partition.
  assert {
    condition = alltrue(flatten([
      for policy in concat(values(aws_iam_role_policy.step), [aws_iam_role_policy.machine]) : [
        for statement in jsondecode(policy.policy).Statement : [
          for resource in flatten([statement.Resource]) : resource == "*" || startswith(resource, "arn:aws-cn:") || can(regex("mocked|0000-4000", resource))
        ]
      ]
    ]))
    error_message = "ARNs are written with the partition."
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.this.definition).States.SnapshotCheck.Resource == "arn:aws-cn:states:::lambda:invoke"
    error_message = "So is the workflow's."
  }
}

run "no_role_is_passed_unasked" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.step : [
        for statement in jsondecode(policy.policy).Statement : !contains(flatten([statement.Action]), "iam:PassRole")
      ]
    ]))
    error_message = "Without passable_role_arns no role is passed."
  }
}

run "roles_that_may_be_passed" {
  command = plan

  variables {
    passable_role_arns = ["arn:aws:iam::111122223333:role/rds-monitoring", "arn:aws:iam::111122223333:role/orders-*"]
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.step : key => [
        for statement in jsondecode(policy.policy).Statement : statement.Condition.StringEquals["iam:PassedToService"]
        if contains(flatten([statement.Action]), "iam:PassRole") && toset(flatten([statement.Resource])) == toset(var.passable_role_arns)
      ] if contains(["complete_cluster", "create_instances"], key)
    } == { complete_cluster = ["rds.amazonaws.com"], create_instances = ["monitoring.rds.amazonaws.com"] }
    error_message = "Each role is passed to the service that takes it."
  }
}
