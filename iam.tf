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

locals {
  step_policies = {
    for key in keys(local.functions) : key => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        local.common_statements[key],
        local.step_statements[key],
        try(local.vpc_statements[key], []),
      )
    })
  }
}

resource "aws_iam_role_policy" "step" {
  for_each = local.functions

  name   = "step"
  role   = aws_iam_role.step[each.key].name
  policy = local.step_policies[each.key]

  # IAM's quota is for all inline policies of a role together, white space apart (IAM and STS quotas): this is the role's only
  # one, and jsonencode writes none. Before the first apply the policies' ARNs are not known, and the apply checks it.
  lifecycle {
    precondition {
      condition     = length(local.step_policies[each.key]) <= 10240
      error_message = "The policy of the function ${each.value.name} would be ${length(local.step_policies[each.key])} characters long; IAM allows 10240 for a role's inline policies. Give fewer source_accounts, snapshot_kms_key_arns or passable_role_arns: one ARN of passable_role_arns can stand for many roles (role/database-*), and a second deployment can take some of the accounts."
    }
  }
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
