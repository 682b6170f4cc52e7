################################################################################
# What each function may do: what every function needs first, then each step's own statements.
#
# RDS, by the Service Authorization Reference: a call is allowed only if *every* resource type that the action needs is, also
# those that the call does not name (option groups). What is created must bear this deployment's tag, and only what bears it
# may be changed or deleted; resources that a call only refers to are in statements of their own, without that condition.
################################################################################

locals {
  rds_arn = "arn:${local.partition}:rds:${local.region}:${local.account_id}"

  # Snapshots and copies of this account, in whatever region the route to the target leads through.
  own_snapshot_arns = "arn:${local.partition}:rds:*:${local.account_id}:cluster-snapshot:*"

  creates_ours = { StringEquals = { "aws:RequestTag/aurora-restore:managed-by" = local.deployment } }
  only_ours    = { StringEquals = { "aws:ResourceTag/aurora-restore:managed-by" = local.deployment } }

  # IAM cannot tell tags given at creation from tags added later. So tagging is held to our own tag's value, and never takes
  # over what bears another deployment's; a resource without any such tag it cannot protect.
  tags_ours = {
    StringEquals         = { "aws:RequestTag/aurora-restore:managed-by" = local.deployment }
    StringEqualsIfExists = { "aws:ResourceTag/aurora-restore:managed-by" = local.deployment }
  }

  # The roles that reach into source accounts, and those that use keys of source accounts. Both lists are outputs that the
  # source account's trust and key policies are made of: they must not depend on var.source_accounts.
  source_access_steps = ["check_copy_status", "cleanup", "compensate", "copy_snapshot", "snapshot_check"]
  source_key_steps    = ["copy_snapshot", "create_instances", "restore_snapshot", "snapshot_check"]

  via = { for service in ["dynamodb", "lambda", "rds", "secretsmanager", "sns"] : service => "${service}.${local.region}.${local.dns_suffix}" }

  # RDS names a managed master secret itself and tags it with the cluster's ARN only, so any cluster's would match. The module's
  # key is the only one that these roles may decrypt with; what is under the default aws/secretsmanager key needs none, though.
  master_secret_arn = "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:rds!cluster-*"
  user_secret_arn   = "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${local.secret_prefix}/*"

  ##############################################################################
  # Every function
  ##############################################################################

  common_statements = {
    for key, function in local.functions : key => [
      {
        Sid      = "Logs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.step[key].arn}:*"
      },
      {
        Sid      = "Traces" # X-Ray has no resources to name
        Effect   = "Allow"
        Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
        Resource = "*"
      },
      {
        Sid      = "State" # a transaction is authorized as the calls that it is made of; nothing is ever deleted
        Effect   = "Allow"
        Action   = concat(["dynamodb:GetItem", "dynamodb:UpdateItem"], contains(local.record_makers, key) ? ["dynamodb:PutItem"] : [])
        Resource = aws_dynamodb_table.state.arn
      },
      {
        Sid      = "Audit" # append-only: nobody reads, updates or deletes
        Effect   = "Allow"
        Action   = ["dynamodb:PutItem"]
        Resource = aws_dynamodb_table.audit.arn
      },
      {
        Sid       = "KeyOfTablesAndSettings"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"]
        Resource  = local.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = [local.via.dynamodb, local.via.lambda] } }
      },
    ]
  }

  # The first state claims an operation; the last one records a failure of which nothing else did.
  record_makers = ["snapshot_check", "sns_notification"]

  # A function in a VPC: Lambda manages its network interfaces with the function's role (as AWSLambdaVPCAccessExecutionRole
  # allows; there are no resources to name), and the function's own code is kept from it (Lambda: best practices for VPC).
  vpc_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
  vpc_statements = {
    for key, function in local.functions : key => [
      {
        Sid      = "NetworkInterfacesForLambda"
        Effect   = "Allow"
        Action   = local.vpc_actions
        Resource = "*"
      },
      {
        Sid       = "NoNetworkInterfacesForTheCode"
        Effect    = "Deny"
        Action    = local.vpc_actions
        Resource  = "*"
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${function.name}" } }
      },
    ] if function.in_vpc
  }

  ##############################################################################
  # Parts that several steps share
  ##############################################################################

  # Keys that snapshots of other accounts are under: any of the accounts that are known, and those that are named. An IAM policy
  # has to name another account's key; it cannot be left to the key's policy (Aurora user guide: sharing encrypted snapshots).
  source_key_arns = {
    for scope, region in { here = local.region, anywhere = "*" } : scope => concat(
      [for id in keys(var.source_accounts) : "arn:${local.partition}:kms:${region}:${id}:key/*"],
      var.snapshot_kms_key_arns,
    )
  }
  own_key_arns = { for scope, region in { here = local.region, anywhere = "*" } : scope => "arn:${local.partition}:kms:${region}:${local.account_id}:key/*" }

  # For RDS only: "here" where a cluster is made, "anywhere" where a route leads through other regions. In a copy between two
  # regions, which one's RDS KMS sees is not documented.
  through_rds = {
    here     = { StringEquals = { "kms:ViaService" = local.via.rds } }
    anywhere = { StringLike = { "kms:ViaService" = "rds.*.${local.dns_suffix}" } }
  }

  # Storage keys are the request's or the snapshot's, so any of this account's: for RDS only, and only by grants. The key's
  # own policy has the last word. (RDS user guide: creating with a customer managed key takes CreateGrant and DescribeKey.)
  storage_key_statements = {
    for scope, through in local.through_rds : scope => [
      {
        Sid       = "StorageKey"
        Effect    = "Allow"
        Action    = ["kms:DescribeKey"]
        Resource  = local.own_key_arns[scope]
        Condition = through
      },
      {
        Sid       = "StorageKeyGrants"
        Effect    = "Allow"
        Action    = ["kms:CreateGrant"]
        Resource  = local.own_key_arns[scope]
        Condition = merge(through, { Bool = { "kms:GrantIsForAWSResource" = "true" } })
      },
    ]
  }

  # To read what another account's key protects takes more than to make something under one's own (AUG: sharing encrypted
  # snapshots). Nothing is re-encrypted to such a key.
  source_key_statements = {
    for scope, through in local.through_rds : scope => [
      for statement in [
        {
          Sid       = "SourceKeys"
          Effect    = "Allow"
          Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:ReEncryptFrom"]
          Resource  = local.source_key_arns[scope]
          Condition = through
        },
        {
          Sid       = "SourceKeyGrants"
          Effect    = "Allow"
          Action    = ["kms:CreateGrant"]
          Resource  = local.source_key_arns[scope]
          Condition = merge(through, { Bool = { "kms:GrantIsForAWSResource" = "true" } })
        },
      ] : statement if length(local.source_key_arns[scope]) > 0
    ]
  }

  # The roles in source accounts, each of which has to trust ours. Anew for each call: taking one role on from another lasts an
  # hour at most (IAM user guide: role chaining).
  source_access_statements = [
    for statement in [
      {
        Sid      = "SourceAccounts"
        Effect   = "Allow"
        Action   = ["sts:AssumeRole"]
        Resource = [for account in values(var.source_accounts) : account.role_arn]
      },
    ] : statement if length(var.source_accounts) > 0
  ]

  # A copy that is not wanted any more, in whichever region it is.
  delete_copies_statements = [
    {
      Sid       = "DeleteOurCopies"
      Effect    = "Allow"
      Action    = ["rds:DeleteDBClusterSnapshot"]
      Resource  = local.own_snapshot_arns
      Condition = local.only_ours
    },
  ]

  # Whoever gives a lane back wakes the operation that waits for it. A task token is the permission: Step Functions has no
  # resource to name.
  lane_statements = [
    {
      Sid      = "WakeWhoWaits"
      Effect   = "Allow"
      Action   = ["states:SendTaskSuccess"]
      Resource = "*"
    },
  ]

  master_secret_statements = [
    {
      Sid      = "MasterSecret"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = local.master_secret_arn
    },
    {
      Sid       = "KeyOfSecrets"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = local.kms_key_arn
      Condition = { StringEquals = { "kms:ViaService" = local.via.secretsmanager } }
    },
  ]

  # Readers of Aurora clusters only. The ARN of a scalable target ends in an id that its registration makes up, so that no
  # policy can name one; and a describe has no resources to name.
  scalable_targets = "arn:${local.partition}:application-autoscaling:${local.region}:${local.account_id}:scalable-target/*"
  scales_readers = {
    StringEquals = {
      "application-autoscaling:service-namespace"  = "rds"
      "application-autoscaling:scalable-dimension" = "rds:cluster:ReadReplicaCount"
    }
  }
  look_at_autoscaling = [
    {
      Sid      = "LookAtAutoscaling"
      Effect   = "Allow"
      Action   = ["application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies"]
      Resource = "*"
    },
  ]

  # A role that RDS shall use; without roles that may be passed there is no such statement.
  pass_roles = {
    for service in ["rds.amazonaws.com", "monitoring.rds.amazonaws.com"] : service => [
      for roles in [var.passable_role_arns] : {
        Sid       = "PassRoles"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = roles
        Condition = { StringEquals = { "iam:PassedToService" = service } }
      } if length(roles) > 0
    ]
  }

  ##############################################################################
  # Step by step
  ##############################################################################

  step_statements = {
    snapshot_check = concat([
      {
        Sid    = "LookUp"
        Effect = "Allow"
        Action = [
          "ec2:DescribeSecurityGroups",
          "rds:DescribeAccountAttributes",
          "rds:DescribeDBClusterAutomatedBackups",
          "rds:DescribeDBClusterEndpoints",
          "rds:DescribeDBClusterParameterGroups",
          "rds:DescribeDBClusters",
          "rds:DescribeDBClusterSnapshots",
          "rds:DescribeDBEngineVersions",
          "rds:DescribeDBInstances",
          "rds:DescribeDBMajorEngineVersions",
          "rds:DescribeDBParameterGroups",
          "rds:DescribeDBSubnetGroups",
          "rds:DescribeOrderableDBInstanceOptions",
        ]
        Resource = "*"
      },
      {
        # What a key is, before anything is done with it: of those keys that the steps may use. One that they may not use
        # is then found out here, and not in the middle of an operation.
        Sid      = "LookAtKeys"
        Effect   = "Allow"
        Action   = ["kms:DescribeKey"]
        Resource = concat([local.own_key_arns.anywhere], local.source_key_arns.anywhere)
      },
    ], local.look_at_autoscaling, local.source_access_statements)

    copy_snapshot = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusterSnapshots"]
        Resource = "*"
      },
      {
        # Of any account: what others share is theirs to give. The tag is asked for whichever snapshot of the request is looked
        # at, the source or the copy; so no copy is made without it, and copies land in this account only.
        Sid       = "CopyToOurs"
        Effect    = "Allow"
        Action    = ["rds:CopyDBClusterSnapshot"]
        Resource  = "arn:${local.partition}:rds:*:*:cluster-snapshot:*"
        Condition = local.creates_ours
      },
      {
        Sid       = "TagOurs"
        Effect    = "Allow"
        Action    = ["rds:AddTagsToResource"]
        Resource  = local.own_snapshot_arns
        Condition = local.tags_ours
      },
      {
        Sid      = "ReachOtherRegions"
        Effect   = "Allow"
        Action   = ["rds:CrossRegionCommunication"]
        Resource = "*"
      },
      {
        Sid       = "ReencryptOwnSnapshots"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = local.own_key_arns.anywhere
        Condition = local.through_rds.anywhere
      },
    ], local.storage_key_statements.anywhere, local.source_key_statements.anywhere, local.source_access_statements, local.lane_statements)

    check_copy_status = concat([
      {
        Sid      = "Observe"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusterSnapshots", "rds:DescribeEvents"]
        Resource = "*"
      },
    ], local.source_access_statements)

    restore_snapshot = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters"]
        Resource = "*"
      },
      {
        Sid       = "ServiceLinkedRoleOfRds" # where this is the account's first database
        Effect    = "Allow"
        Action    = ["iam:CreateServiceLinkedRole"]
        Resource  = "arn:${local.partition}:iam::${local.account_id}:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS"
        Condition = { StringEquals = { "iam:AWSServiceName" = "rds.amazonaws.com" } }
      },
      {
        Sid       = "RestoreOurs"
        Effect    = "Allow"
        Action    = ["rds:RestoreDBClusterFromSnapshot", "rds:RestoreDBClusterToPointInTime"]
        Resource  = "${local.rds_arn}:cluster:*"
        Condition = local.creates_ours
      },
      {
        # The source is a cluster, too, of this account or one that another account shares. The tags are those of the request, so
        # that they are the new cluster's; of the source only its data are read.
        Sid       = "RestoreFromCluster"
        Effect    = "Allow"
        Action    = ["rds:RestoreDBClusterToPointInTime"]
        Resource  = "arn:${local.partition}:rds:${local.region}:*:cluster:*"
        Condition = local.creates_ours
      },
      {
        Sid       = "TagOurs"
        Effect    = "Allow"
        Action    = ["rds:AddTagsToResource"]
        Resource  = "${local.rds_arn}:cluster:*"
        Condition = local.tags_ours
      },
      {
        Sid    = "RestoreFrom"
        Effect = "Allow"
        Action = ["rds:RestoreDBClusterFromSnapshot"]
        Resource = [
          "${local.rds_arn}:cluster-pg:*",
          "arn:${local.partition}:rds:${local.region}:*:cluster-snapshot:*", # also what another account shares
          "${local.rds_arn}:og:*",
          "${local.rds_arn}:subgrp:*",
        ]
      },
      {
        Sid    = "RestoreToPointInTimeRefersTo"
        Effect = "Allow"
        Action = ["rds:RestoreDBClusterToPointInTime"]
        Resource = [
          "${local.rds_arn}:cluster-auto-backup:*",
          "${local.rds_arn}:cluster-pg:*",
          "${local.rds_arn}:og:*",
          "${local.rds_arn}:subgrp:*",
        ]
      },
    ], local.storage_key_statements.here, local.source_key_statements.here)

    check_restore_status = [
      {
        Sid      = "Observe"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusterEndpoints", "rds:DescribeDBClusters", "rds:DescribeDBInstances", "rds:DescribeEvents"]
        Resource = "*"
      },
    ]

    configure_cluster = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters"]
        Resource = "*"
      },
      {
        Sid       = "ModifyOurs"
        Effect    = "Allow"
        Action    = ["rds:ModifyDBCluster"]
        Resource  = "${local.rds_arn}:cluster:*"
        Condition = local.only_ours
      },
      {
        Sid    = "ModifyRefersTo"
        Effect = "Allow"
        Action = ["rds:ModifyDBCluster"]
        Resource = [
          "${local.rds_arn}:cluster-pg:*",
          "${local.rds_arn}:og:*",
          "${local.rds_arn}:pg:*",
        ]
      },
      {
        Sid      = "ManagedMasterSecret" # RDS creates it as the caller (RDS user guide: password management with Secrets Manager)
        Effect   = "Allow"
        Action   = ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]
        Resource = local.master_secret_arn
      },
      {
        Sid       = "KeyOfManagedMasterSecret"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"]
        Resource  = local.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = [local.via.rds, local.via.secretsmanager] } }
      },
      {
        Sid      = "GrantsOnTheKey"
        Effect   = "Allow"
        Action   = ["kms:CreateGrant"]
        Resource = local.kms_key_arn
        Condition = {
          StringEquals = { "kms:ViaService" = [local.via.rds, local.via.secretsmanager] }
          Bool         = { "kms:GrantIsForAWSResource" = "true" }
        }
      },
    ], local.storage_key_statements.here) # for Performance Insights

    create_instances = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters", "rds:DescribeDBInstances"]
        Resource = "*"
      },
      {
        Sid       = "CreateOurs"
        Effect    = "Allow"
        Action    = ["rds:CreateDBInstance"]
        Resource  = "${local.rds_arn}:db:*"
        Condition = local.creates_ours
      },
      {
        Sid       = "TagOurs"
        Effect    = "Allow"
        Action    = ["rds:AddTagsToResource"]
        Resource  = "${local.rds_arn}:db:*"
        Condition = local.tags_ours
      },
      {
        Sid       = "CreateInOurs"
        Effect    = "Allow"
        Action    = ["rds:CreateDBInstance"]
        Resource  = "${local.rds_arn}:cluster:*"
        Condition = local.only_ours
      },
      {
        Sid    = "CreateRefersTo"
        Effect = "Allow"
        Action = ["rds:CreateDBInstance"]
        Resource = [
          "${local.rds_arn}:og:*",
          "${local.rds_arn}:pg:*",
          "${local.rds_arn}:subgrp:*",
        ]
      },
      {
        Sid       = "RebootOurs" # where a parameter waits for it
        Effect    = "Allow"
        Action    = ["rds:RebootDBInstance"]
        Resource  = "${local.rds_arn}:db:*"
        Condition = local.only_ours
      },
      # A cluster keeps its snapshot's key where that is asked for.
    ], local.pass_roles["monitoring.rds.amazonaws.com"], local.storage_key_statements.here, local.source_key_statements.here)

    complete_cluster = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusterEndpoints", "rds:DescribeDBClusters", "rds:DescribeDBInstances"]
        Resource = "*"
      },
      {
        Sid       = "CompleteOurs"
        Effect    = "Allow"
        Action    = ["rds:AddRoleToDBCluster", "rds:CreateDBClusterEndpoint", "rds:EnableHttpEndpoint"]
        Resource  = "${local.rds_arn}:cluster:*"
        Condition = local.only_ours
      },
      {
        Sid       = "CreateOurEndpoints"
        Effect    = "Allow"
        Action    = ["rds:CreateDBClusterEndpoint"]
        Resource  = "${local.rds_arn}:cluster-endpoint:*"
        Condition = local.creates_ours
      },
      {
        Sid       = "TagOurEndpoints"
        Effect    = "Allow"
        Action    = ["rds:AddTagsToResource"]
        Resource  = "${local.rds_arn}:cluster-endpoint:*"
        Condition = local.tags_ours
      },
      {
        Sid       = "ScaleReaders"
        Effect    = "Allow"
        Action    = ["application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget"]
        Resource  = local.scalable_targets
        Condition = local.scales_readers
      },
      {
        Sid       = "TagScalableTargets" # asked for when one is registered with tags; it knows neither namespace nor dimension
        Effect    = "Allow"
        Action    = ["application-autoscaling:TagResource"]
        Resource  = local.scalable_targets
        Condition = local.tags_ours
      },
      {
        # Application Auto Scaling tries out, with made-up names and without tags, whether its caller may do what it will do
        # ("Permissions validation for Application Auto Scaling API calls on target resources"). The role itself may not.
        Sid    = "TriedOutByAutoscaling"
        Effect = "Allow"
        Action = [
          "cloudwatch:DeleteAlarms",
          "cloudwatch:DescribeAlarms",
          "cloudwatch:PutMetricAlarm",
          "rds:AddTagsToResource",
          "rds:CreateDBInstance",
          "rds:DeleteDBInstance",
        ]
        Resource  = "*"
        Condition = { Bool = { "aws:ViaAWSService" = "true" } }
      },
      {
        Sid       = "ServiceLinkedRoleOfAutoscaling" # where no readers have been scaled in the account yet
        Effect    = "Allow"
        Action    = ["iam:CreateServiceLinkedRole"]
        Resource  = "arn:${local.partition}:iam::${local.account_id}:role/aws-service-role/rds.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_RDSCluster"
        Condition = { StringEquals = { "iam:AWSServiceName" = "rds.application-autoscaling.amazonaws.com" } }
      },
    ], local.look_at_autoscaling, local.pass_roles["rds.amazonaws.com"])

    check_settings = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusterEndpoints", "rds:DescribeDBClusters", "rds:DescribeDBInstances"]
        Resource = "*"
      },
    ], local.look_at_autoscaling)

    setup_db_users = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters"]
        Resource = "*"
      },
      {
        Sid       = "CreateUserSecrets"
        Effect    = "Allow"
        Action    = ["secretsmanager:CreateSecret"]
        Resource  = local.user_secret_arn
        Condition = local.creates_ours
      },
      {
        Sid       = "TagUserSecrets"
        Effect    = "Allow"
        Action    = ["secretsmanager:TagResource"]
        Resource  = local.user_secret_arn
        Condition = local.tags_ours
      },
      {
        Sid      = "WhoseUserSecrets" # a foreign secret of the name has to be seen to be refused clearly
        Effect   = "Allow"
        Action   = ["secretsmanager:DescribeSecret"]
        Resource = local.user_secret_arn
      },
      {
        Sid    = "UserSecrets"
        Effect = "Allow"
        Action = [
          "secretsmanager:GetSecretValue",
          "secretsmanager:PutSecretValue",
          "secretsmanager:RestoreSecret",
          "secretsmanager:UpdateSecretVersionStage",
        ]
        Resource  = local.user_secret_arn
        Condition = local.only_ours
      },
      {
        Sid       = "KeyForNewSecrets"
        Effect    = "Allow"
        Action    = ["kms:DescribeKey", "kms:GenerateDataKey*"]
        Resource  = local.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = local.via.secretsmanager } }
      },
    ], local.master_secret_statements)

    verify_restore = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters", "rds:DescribeDBInstances"]
        Resource = "*"
      },
      ], [
      for statement in concat(local.master_secret_statements, [
        {
          Sid       = "UserSecrets"
          Effect    = "Allow"
          Action    = ["secretsmanager:GetSecretValue"]
          Resource  = local.user_secret_arn
          Condition = local.only_ours
        },
      ]) : statement if local.database_enabled
    ])

    cleanup = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters", "rds:DescribeDBClusterSnapshots"]
        Resource = "*"
      },
      {
        Sid       = "ProtectOurs"
        Effect    = "Allow"
        Action    = ["rds:ModifyDBCluster"]
        Resource  = "${local.rds_arn}:cluster:*"
        Condition = local.only_ours
      },
    ], local.delete_copies_statements, local.source_access_statements, local.lane_statements)

    compensate = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters", "rds:DescribeDBClusterSnapshots", "rds:DescribeDBInstances"]
        Resource = "*"
      },
      {
        Sid       = "DeleteOurs"
        Effect    = "Allow"
        Action    = ["rds:DeleteDBCluster", "rds:DeleteDBInstance"]
        Resource  = ["${local.rds_arn}:cluster:*", "${local.rds_arn}:db:*"]
        Condition = local.only_ours
      },
      {
        Sid      = "DeleteClusterNamesSnapshots" # asked for although no final snapshot is taken
        Effect   = "Allow"
        Action   = ["rds:DeleteDBCluster"]
        Resource = "${local.rds_arn}:cluster-snapshot:*"
      },
      {
        Sid       = "StopScalingReaders" # a scalable target does not go with its cluster
        Effect    = "Allow"
        Action    = ["application-autoscaling:DeregisterScalableTarget"]
        Resource  = local.scalable_targets
        Condition = local.scales_readers
      },
    ], local.delete_copies_statements, local.source_access_statements, local.lane_statements)

    sns_notification = [
      {
        Sid      = "Publish"
        Effect   = "Allow"
        Action   = ["sns:Publish"]
        Resource = aws_sns_topic.notifications.arn
      },
      {
        Sid       = "KeyOfTheTopic"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = local.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = local.via.sns } }
      },
    ]
  }
}
