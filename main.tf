################################################################################
# Aurora Restore Pipeline
#
# package.tf       builds the Lambda zip and uploads it
# lambda.tf        one function per step, each with its log group
# iam.tf           one role per function, one for the state machine
# policies.tf      what each of these roles may do
# statemachine.tf  the workflow (statemachine.asl.json)
# dynamodb.tf      AuroraRestoreState and AuroraRestoreAudit
# sns.tf           the notification topic and its subscriptions
# kms.tf           the key for all of them
################################################################################

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id
  dns_suffix = data.aws_partition.current.dns_suffix

  # The deployment's name, D in the documentation: the first part of every name that is not given.
  deployment = var.environment == "" ? var.name : "${var.name}-${var.environment}"

  # The module's own resources are told from what the pipeline makes by the key: roles may change and delete what bears
  # "aurora-restore:managed-by", and these do not bear it.
  tags = merge(var.tags, { "aurora-restore:deployment" = local.deployment })

  state_table_name = coalesce(var.table_names.state, var.environment == "" ? "AuroraRestoreState" : "AuroraRestoreState-${var.environment}")
  audit_table_name = coalesce(var.table_names.audit, var.environment == "" ? "AuroraRestoreAudit" : "AuroraRestoreAudit-${var.environment}")

  database_enabled = var.database != null

  ##############################################################################
  # The functions. The key is the handler's module (aurora_restore.handlers.<key>); "database" means that the function
  # connects to restored clusters: it sits in the VPC, with more memory (drivers, TLS) and time.
  ##############################################################################

  steps = {
    snapshot_check       = { description = "Claims the operation, validates the request, resolves the snapshot, makes the plan" }
    copy_snapshot        = { description = "Shares and copies snapshots, each in its turn" }
    check_copy_status    = { description = "Observes a snapshot copy and computes the next wait" }
    restore_snapshot     = { description = "Restores the cluster from the snapshot" }
    check_restore_status = { description = "Observes what is being waited for and computes the next wait" }
    configure_cluster    = { description = "Sets what a restore cannot set, the managed master password among it" }
    create_instances     = { description = "Creates the writer, then the readers" }
    complete_cluster     = { description = "Associates roles, switches the Data API on, creates custom endpoints, lets readers scale" }
    check_settings       = { description = "Compares the restored cluster with what was asked for" }
    setup_db_users       = { description = "Creates the request's database users", database = true }
    verify_restore       = { description = "Runs the checks on the restored cluster", database = true }
    cleanup              = { description = "Removes what only the restore needed; deletion protection goes on" }
    compensate           = { description = "Removes or keeps what a failed operation made" }
    sns_notification     = { description = "Records the outcome and tells of it" }
  }

  functions = {
    for key, step in local.steps : key => {
      name        = local.function_names[key]
      description = step.description
      in_vpc      = local.database_enabled && can(step.database)
    } if local.database_enabled || key != "setup_db_users"
  }

  ##############################################################################
  # Names. Lambda functions and IAM roles end at 64 characters: a longer name is cut and kept unique by a hash. Roles
  # are named by region too, since IAM is one namespace for all regions of an account.
  ##############################################################################

  function_names = { for key, step in local.steps : key => local.short_names["${local.deployment}-${replace(key, "_", "-")}"] }
  role_names     = { for key, step in local.steps : key => local.short_names["${local.deployment}-${replace(key, "_", "-")}-${local.region}"] }

  machine_role_name = local.short_names["${local.deployment}-state-machine-${local.region}"]

  long_names = concat(
    [for key, step in local.steps : "${local.deployment}-${replace(key, "_", "-")}"],
    [for key in concat(keys(local.steps), ["state-machine"]) : "${local.deployment}-${replace(key, "_", "-")}-${local.region}"],
  )
  short_names = {
    for name in local.long_names : name => length(name) <= 64 ? name : "${trimsuffix(substr(name, 0, 55), "-")}-${substr(md5(name), 0, 8)}"
  }
}
