################################################################################
# What each function may do: what every function needs first, then each step's own statements.
#
# RDS, by the Service Authorization Reference: a call is allowed only if *every* resource type that the action needs is, also
# those that the call does not name (option groups). What is created must bear this deployment's tag, and only what bears it
# may be changed or deleted; resources that a call only refers to are in statements of their own, without that condition.
################################################################################

locals {
  rds_arn = "arn:${local.partition}:rds:${local.region}:${local.account_id}"

  creates_ours = { StringEquals = { "aws:RequestTag/aurora-restore:managed-by" = local.deployment } }
  only_ours    = { StringEquals = { "aws:ResourceTag/aurora-restore:managed-by" = local.deployment } }

  # IAM cannot tell tags given at creation from tags added later. So tagging is held to our own tag's value, and never takes
  # over what bears another deployment's; a resource without any such tag it cannot protect.
  tags_ours = {
    StringEquals         = { "aws:RequestTag/aurora-restore:managed-by" = local.deployment }
    StringEqualsIfExists = { "aws:ResourceTag/aurora-restore:managed-by" = local.deployment }
  }

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
        Sid      = "State" # a transaction is authorized as the calls that it is made of
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

  # Storage keys are the request's or the snapshot's, so any of this account's: for RDS only, and only by grants. The key's
  # own policy has the last word. (RDS user guide: creating with a customer managed key takes CreateGrant and DescribeKey.)
  storage_key_statements = [
    {
      Sid       = "StorageKey"
      Effect    = "Allow"
      Action    = ["kms:DescribeKey"]
      Resource  = "arn:${local.partition}:kms:${local.region}:${local.account_id}:key/*"
      Condition = { StringEquals = { "kms:ViaService" = local.via.rds } }
    },
    {
      Sid      = "StorageKeyGrants"
      Effect   = "Allow"
      Action   = ["kms:CreateGrant"]
      Resource = "arn:${local.partition}:kms:${local.region}:${local.account_id}:key/*"
      Condition = {
        StringEquals = { "kms:ViaService" = local.via.rds }
        Bool         = { "kms:GrantIsForAWSResource" = "true" }
      }
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

  ##############################################################################
  # Step by step
  ##############################################################################

  step_statements = {
    snapshot_check = [
      {
        Sid    = "LookUp"
        Effect = "Allow"
        Action = [
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
    ]

    restore_snapshot = concat([
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters"]
        Resource = "*"
      },
      {
        Sid       = "RestoreOurs"
        Effect    = "Allow"
        Action    = ["rds:RestoreDBClusterFromSnapshot"]
        Resource  = "${local.rds_arn}:cluster:*"
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
          "${local.rds_arn}:cluster-snapshot:*",
          "${local.rds_arn}:og:*",
          "${local.rds_arn}:subgrp:*",
        ]
      },
    ], local.storage_key_statements)

    check_restore_status = [
      {
        Sid      = "Observe"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters", "rds:DescribeDBInstances", "rds:DescribeEvents"]
        Resource = "*"
      },
    ]

    configure_cluster = [
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
    ]

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
    ], local.storage_key_statements)

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

    cleanup = [
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters"]
        Resource = "*"
      },
      {
        Sid       = "ProtectOurs"
        Effect    = "Allow"
        Action    = ["rds:ModifyDBCluster"]
        Resource  = "${local.rds_arn}:cluster:*"
        Condition = local.only_ours
      },
    ]

    compensate = [
      {
        Sid      = "LookUp"
        Effect   = "Allow"
        Action   = ["rds:DescribeDBClusters", "rds:DescribeDBInstances"]
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
    ]

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
