################################################################################
# Function roles: one each
################################################################################

resource "aws_iam_role" "step" {
  for_each = local.functions

  name                 = local.role_names[each.key]
  description          = "${local.deployment}: ${each.value.description}"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary

  # No aws:SourceAccount here: Lambda's use of an execution role is guarded by iam:PassRole, and AWS documents no such key for it.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "lambda.amazonaws.com" }
        Action    = "sts:AssumeRole"
      },
    ]
  })

  tags = local.tags
}

resource "aws_iam_role_policy" "step" {
  for_each = local.functions

  name = "step"
  role = aws_iam_role.step[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.common_statements[each.key],
      local.step_statements[each.key],
      try(local.vpc_statements[each.key], []),
    )
  })
}

################################################################################
# The state machine's role
################################################################################

resource "aws_iam_role" "machine" {
  name                 = local.machine_role_name
  description          = "${local.deployment}: the state machine"
  path                 = var.role_path
  permissions_boundary = var.permissions_boundary

  # Step Functions: cross-service confused deputy prevention.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "states.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account_id }
          ArnLike = {
            "aws:SourceArn" = [
              "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${local.deployment}",
              "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${local.deployment}:*", # its versions
            ]
          }
        }
      },
    ]
  })

  tags = local.tags
}

resource "aws_iam_role_policy" "machine" {
  name = "machine"
  role = aws_iam_role.machine.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Published versions, all of them: an execution that began before an apply goes on with the versions of its own definition.
        Sid      = "InvokeSteps"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = [for key, function in local.functions : "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${function.name}:*"]
      },
      {
        Sid    = "DeliverLogs" # log deliveries have no resources to name (Step Functions: logging to CloudWatch Logs)
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery",
          "logs:DeleteLogDelivery",
          "logs:DescribeLogGroups",
          "logs:DescribeResourcePolicies",
          "logs:GetLogDelivery",
          "logs:ListLogDeliveries",
          "logs:PutResourcePolicy",
          "logs:UpdateLogDelivery",
        ]
        Resource = "*"
      },
      {
        Sid      = "Traces"
        Effect   = "Allow"
        Action   = ["xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords", "xray:PutTraceSegments"]
        Resource = "*"
      },
    ]
  })
}
