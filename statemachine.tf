################################################################################
# The workflow: order, waits, retries and catches are in statemachine.asl.json, the logic is in the functions
################################################################################

locals {
  # Of a step that is not deployed the name it would have: the workflow does not get there, but its state must name something.
  step_arns = merge(
    { for key, name in local.function_names : "${key}_arn" => "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${name}" },
    { for key, function in aws_lambda_function.step : "${key}_arn" => function.qualified_arn },
  )

  # Every name that a request's field goes by, with the field's own.
  request_fields = merge([
    for field, schema in jsondecode(file("${path.module}/lambda_src/aurora_restore/request.schema.json")).properties : {
      for name in concat([field], try(schema["x-aliases"], [])) : name => field
    }
  ]...)

  defaults      = { for key, value in var.defaults : key => value if value != null }
  defaults_json = jsonencode(jsonencode(local.defaults)) # JSON text as a JSON string, in its quotes

  source_accounts_json    = jsonencode(jsonencode(var.source_accounts))
  passable_role_arns_json = jsonencode(jsonencode(var.passable_role_arns))

  # For the start command: what every request needs, less what the defaults give.
  example_input = {
    for key, value in {
      snapshot_identifier    = "my-snapshot"
      target_cluster_id      = "my-restored-cluster"
      db_instance_class      = "db.r6g.large"
      db_subnet_group_name   = "my-subnet-group"
      vpc_security_group_ids = ["sg-0123456789abcdef0"]
    } : key => value if !contains(keys(local.defaults), key)
  }

  machine_log_group = "/aws/vendedlogs/states/${local.deployment}"

  # What an operation adds to the execution's history if every phase lasts to its deadline; Step Functions' limit is 25,000.
  # A look is 9 events: task 5, choice 2, wait 2. Waits grow from floor to cap as 2.5 % of the time that a phase has taken
  # (waits.py): the looks before the cap come on top. Around the expected end of a phase of instances and clusters they are half
  # as long: 30 looks more, and 60 for each that goes on with another one's deadline: an upgrade in place with the writer's, what
  # is completed after the instances with the configuration's. A route has at most three copies, which are looked at as their
  # progress says: 40 looks, and as many as other phases for one that stands still, with 140 more if that is at its last percent.
  # It goes to another region once, which is the copy that queues; a look there is the next try to start it.
  growing_looks = log(var.waits.cap_seconds / var.waits.floor_seconds, 2.718) / 0.025
  looks = {
    phases = sum([for phase, times in { cluster = 1, configure = 1, instance = 2, compensate = 1 } :
      times * (var.deadlines[phase] / var.waits.cap_seconds + local.growing_looks + 30)
    ]) + 2 * 60
    copies = 3 * var.deadlines.copy / var.waits.cap_seconds + 2 * 40 + local.growing_looks + 140
    queue  = var.deadlines.queue / 600 + log(600 / 60, 2.718) / 0.05
  }
  most_history_events = 9 * sum(values(local.looks)) + 500 # for the states that are entered once, and retries
}

resource "aws_sfn_state_machine" "this" {
  name     = local.deployment
  role_arn = aws_iam_role.machine.arn
  type     = "STANDARD" # Express ends after five minutes (Step Functions quotas)
  publish  = true

  definition = templatefile("${path.module}/statemachine.asl.json", merge(local.step_arns, {
    partition            = local.partition
    defaults_json        = substr(local.defaults_json, 1, length(local.defaults_json) - 2)
    source_accounts_json = substr(local.source_accounts_json, 1, length(local.source_accounts_json) - 2)

    passable_role_arns_json = substr(local.passable_role_arns_json, 1, length(local.passable_role_arns_json) - 2)
  }))

  # Execution data holds the request and the verdicts, and no secret: those stay in Secrets Manager. That is also why the
  # machine has no key of its own: everyone who starts or reads an execution would need permission to use it.
  logging_configuration {
    log_destination        = "${aws_cloudwatch_log_group.machine.arn}:*"
    include_execution_data = true
    level                  = "ALL"
  }

  tracing_configuration {
    enabled = true
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = local.most_history_events <= 25000
      error_message = "deadlines are too long for waits: an operation that uses them up would need ${ceil(local.most_history_events)} history events, and at 25,000 Step Functions ends an execution at once, without clean-up or notification. Raise waits.cap_seconds, or shorten deadlines."
    }
  }

  # Step Functions checks on creation that its role can deliver logs.
  depends_on = [aws_iam_role_policy.machine]
}

# "/aws/vendedlogs/": by this prefix a log group does not count towards the size limit of the account's log resource policy
# (CloudWatch Logs: logs sent by AWS services).
resource "aws_cloudwatch_log_group" "machine" {
  name              = local.machine_log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}
