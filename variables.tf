################################################################################
# Names and tags
################################################################################

variable "name" {
  description = "First part of every name: functions, roles, state machine, topic, secrets. Lower-case letters, digits and hyphens."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 40
    error_message = "name must be 1 to 40 lower-case letters, digits and single hyphens, begin with a letter and not end with a hyphen: it becomes part of bucket, function and role names."
  }
}

variable "environment" {
  description = "Environment (dev, staging, …): appended to the name and to the tables' names. Empty for none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]+(-[a-z0-9]+)*)?$", var.environment)) && length(var.environment) <= 20
    error_message = "environment must be empty or up to 20 lower-case letters, digits and single hyphens."
  }
}

variable "tags" {
  description = "Tags on every resource of the module and on everything that a restore makes (clusters, instances, secrets)."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && !startswith(lower(key), "aurora-restore:")])
    error_message = "tags must not begin with \"aws:\" (AWS's own) or \"aurora-restore:\" (the pipeline's own, which its permissions rest on)."
  }

  validation {
    condition     = length(var.tags) <= 40 && length(jsonencode(var.tags)) <= 1400
    error_message = "tags must be at most 40 and 1400 characters as JSON: RDS takes 50 tags, and the functions' settings are limited to 4 KB."
  }
}

variable "table_names" {
  description = <<-EOT
    Names of the DynamoDB tables, for several deployments in one account and region.
    - `state`: default `AuroraRestoreState`, with `-<environment>` appended where one is set
    - `audit`: default `AuroraRestoreAudit`, likewise
  EOT
  type = object({
    state = optional(string)
    audit = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in [var.table_names.state, var.table_names.audit] : name == null || can(regex("^[A-Za-z0-9_.-]{3,100}$", name))])
    error_message = "table_names must be 3 to 100 letters, digits, '_', '.' and '-': they are among the functions' settings, which are limited to 4 KB."
  }

  validation {
    condition     = var.table_names.state == null || var.table_names.state != var.table_names.audit
    error_message = "table_names.state and table_names.audit must differ."
  }
}

################################################################################
# Permissions and encryption
################################################################################

variable "passable_role_arns" {
  description = "ARNs (with `*` where wanted) of IAM roles that a request may hand to RDS: `monitoring_role_arn`, `associated_roles`. None by default: whoever starts a restore could otherwise give a database any role of the account."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.passable_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/*-]+$", arn))])
    error_message = "passable_role_arns must be ARNs of IAM roles (arn:aws:iam::<account>:role/<name>); the name may have wildcards."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role of the module."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary must be the ARN of an IAM policy (arn:aws:iam::<account>:policy/<name>)."
  }
}

variable "role_path" {
  description = "Path of every role of the module."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([!-~]+/)?$", var.role_path)) && length(var.role_path) <= 512
    error_message = "role_path must begin and end with a slash, such as \"/platform/\"."
  }
}

variable "kms_key" {
  description = <<-EOT
    The KMS key for tables, topic, logs, function settings, zip and secrets. The module makes one of its own when null, which a
    destroy of the module makes unusable, with every cluster under it: use a key of your own in production.
    The policy of a key that is given must let this account's IAM policies decide (principal `arn:aws:iam::<account>:root`) on
    kms:Decrypt, kms:DescribeKey, kms:GenerateDataKey* and kms:CreateGrant, and must let `logs.<region>.amazonaws.com` use it.
    - `arn`: its ARN, also of a key of the same root
  EOT
  type = object({
    arn = string
  })
  default = null

  validation {
    condition     = var.kms_key == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key.arn))
    error_message = "kms_key.arn must be the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>); an alias can turn to another key."
  }
}

variable "kms_key_deletion_window_days" {
  description = "How long the module's own key can still be saved after a destroy; it is unusable at once."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.kms_key_deletion_window_days >= 7 && var.kms_key_deletion_window_days <= 30
    error_message = "kms_key_deletion_window_days must be 7 to 30 (KMS: ScheduleKeyDeletion)."
  }
}

################################################################################
# Snapshots of other accounts
################################################################################

variable "source_accounts" {
  description = <<-EOT
    Accounts whose snapshots the pipeline may copy and share by a role there, by account id. `modules/source-account` makes the
    role, and its output `source_account` is an entry of this map; several are merged.
    - `role_arn`, `external_id`: the role, and what it wants to hear
    - `share_kms_key_arns`: by region, the customer key of that account under which its snapshots are copied to be shared
  EOT
  type = map(object({
    role_arn           = string
    external_id        = string
    share_kms_key_arns = optional(map(string), {})
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for id in keys(var.source_accounts) : can(regex("^[0-9]{12}$", id))])
    error_message = "source_accounts: the key of an entry is an account id of 12 digits."
  }

  validation {
    condition     = !contains(keys(var.source_accounts), data.aws_caller_identity.current.account_id)
    error_message = "source_accounts must not hold the deployment's own account: its snapshots need no role."
  }

  validation {
    condition     = alltrue([for id, account in var.source_accounts : can(regex("^arn:[a-z-]+:iam::${id}:role/[!-~]+$", account.role_arn))])
    error_message = "source_accounts: role_arn must be the ARN of a role in the account that the entry is for (arn:aws:iam::<account>:role/<name>)."
  }

  validation {
    condition     = alltrue([for account in values(var.source_accounts) : can(regex("^[\\w+=,.@:/-]+$", account.external_id)) && length(account.external_id) >= 2 && length(account.external_id) <= 1224])
    error_message = "source_accounts: external_id must be 2 to 1224 letters, digits and characters of _+=,.@:/- (STS: AssumeRole)."
  }

  validation {
    condition = alltrue(flatten([
      for id, account in var.source_accounts : [
        for region, arn in account.share_kms_key_arns : can(regex("^arn:[a-z-]+:kms:${region}:${id}:key/[A-Za-z0-9-]+$", arn))
      ]
    ]))
    error_message = "source_accounts: share_kms_key_arns must be by region the ARNs of keys of that region and of the account that the entry is for (arn:aws:kms:<region>:<account>:key/<id>)."
  }

  validation {
    condition     = length(jsonencode(var.source_accounts)) <= 32768
    error_message = "source_accounts must be at most 32 KB as JSON: executions carry them in their state, which Step Functions limits to 256 KiB."
  }
}

variable "snapshot_kms_key_arns" {
  description = <<-EOT
    Customer keys of accounts that are not in `source_accounts`, under which snapshots are shared with this one. A key's own policy
    must name the roles of the output `source_key_role_arns` too: across accounts both sides have to allow it.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.snapshot_kms_key_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))])
    error_message = "snapshot_kms_key_arns must be ARNs of keys (arn:aws:kms:<region>:<account>:key/<id>); IAM does not take an alias."
  }
}

################################################################################
# Functions
################################################################################

variable "lambda" {
  description = <<-EOT
    Settings of all functions.
    - `runtime`, `architecture`: one zip serves all of them
    - `memory_size`, `timeout`: MB and seconds of the functions that only call AWS
    - `database_memory_size`, `database_timeout`: of those that connect to restored clusters
    - `log_level`: DEBUG, INFO, WARNING, ERROR or CRITICAL
    - `reserved_concurrency`: of each function; -1 for none (a new account has only 10 to give)
    - `code_signing_config_arn`: for signed code; needs `lambda_package`
  EOT
  type = object({
    runtime                 = optional(string, "python3.13")
    architecture            = optional(string, "arm64")
    memory_size             = optional(number, 512)
    timeout                 = optional(number, 120)
    database_memory_size    = optional(number, 1024)
    database_timeout        = optional(number, 600)
    log_level               = optional(string, "INFO")
    reserved_concurrency    = optional(number, -1)
    code_signing_config_arn = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["python3.11", "python3.12", "python3.13"], var.lambda.runtime)
    error_message = "lambda.runtime must be python3.11, python3.12 or python3.13."
  }

  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda.architecture)
    error_message = "lambda.architecture must be arm64 or x86_64."
  }

  validation {
    condition     = alltrue([for size in [var.lambda.memory_size, var.lambda.database_memory_size] : size >= 256 && size <= 10240])
    error_message = "lambda.memory_size and lambda.database_memory_size must be 256 to 10240 MB: below 256 loading the SDK alone takes seconds."
  }

  validation {
    condition     = var.lambda.timeout >= 30 && var.lambda.timeout <= 300 && var.lambda.database_timeout >= 30 && var.lambda.database_timeout <= 840
    error_message = "lambda.timeout must be 30 to 300 seconds and lambda.database_timeout 30 to 840: a function has to end before its state in the workflow times out."
  }

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.lambda.log_level)
    error_message = "lambda.log_level must be DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }

  validation {
    condition     = var.lambda.reserved_concurrency == -1 || var.lambda.reserved_concurrency >= 1
    error_message = "lambda.reserved_concurrency must be -1 (none) or at least 1: with 0 no function could run."
  }

  validation {
    condition     = var.lambda.code_signing_config_arn == null || var.lambda_package != null
    error_message = "lambda.code_signing_config_arn needs lambda_package: the zip that the module builds itself is not signed."
  }
}

variable "vpc_config" {
  description = <<-EOT
    Where the functions that connect to restored clusters sit; required unless `database` is null.
    - `subnet_ids`: subnets with a route to the clusters and to the APIs of RDS, DynamoDB and Secrets Manager (endpoints or NAT)
    - `security_group_ids`: groups that the clusters' security groups let in
  EOT
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc_config != null || var.database == null
    error_message = "vpc_config is required: the database phase connects to restored clusters from inside their VPC. Set database = null to restore without it."
  }

  validation {
    condition     = var.vpc_config == null || try(length(var.vpc_config.subnet_ids) > 0 && length(var.vpc_config.security_group_ids) > 0, false)
    error_message = "vpc_config needs at least one subnet and one security group."
  }
}

variable "database" {
  description = <<-EOT
    The database phase: users, checks in the request, verification by a login. null for none: a request with users or checks is then refused.
    - `connect_timeout_seconds`: for each attempt to connect
    - `extra_ca_pem`: PEM of a CA to trust beside Amazon RDS's, for what stands in front of a cluster
  EOT
  type = object({
    connect_timeout_seconds = optional(number, 10)
    extra_ca_pem            = optional(string, "")
  })
  default = {}

  validation {
    condition     = try(var.database.connect_timeout_seconds >= 1 && var.database.connect_timeout_seconds <= 60, var.database == null)
    error_message = "database.connect_timeout_seconds must be 1 to 60."
  }

  validation {
    condition     = try(var.database.extra_ca_pem == "" || can(regex("-----BEGIN CERTIFICATE-----", var.database.extra_ca_pem)), var.database == null)
    error_message = "database.extra_ca_pem must be certificates in PEM (-----BEGIN CERTIFICATE-----)."
  }

  validation {
    condition     = try(length(var.database.extra_ca_pem) <= 1600, var.database == null)
    error_message = "database.extra_ca_pem must be at most 1600 characters: Lambda limits a function's settings to 4 KB (a CA with an elliptic-curve key fits)."
  }
}

variable "log_retention_days" {
  description = "How long log events are kept; 0 for ever."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of CloudWatch Logs' values: 0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

################################################################################
# Package
################################################################################

variable "lambda_package" {
  description = <<-EOT
    A prebuilt zip instead of the one that the module builds at apply; scripts/package.py of the same version of the module makes it, and functions refuse one of other sources.
    - `filename`: a local zip, uploaded to the module's bucket; or
    - `s3_bucket`, `s3_key`, `s3_object_version`: an object in a bucket of this region
  EOT
  type = object({
    filename          = optional(string)
    s3_bucket         = optional(string)
    s3_key            = optional(string)
    s3_object_version = optional(string)
  })
  default = null

  validation {
    condition     = var.lambda_package == null || try((var.lambda_package.filename != null) != (var.lambda_package.s3_bucket != null), false)
    error_message = "lambda_package needs either filename or s3_bucket with s3_key."
  }

  validation {
    condition     = try((var.lambda_package.s3_bucket == null) == (var.lambda_package.s3_key == null), var.lambda_package == null)
    error_message = "lambda_package needs s3_bucket and s3_key together."
  }

  validation {
    condition     = try(var.lambda_package.s3_object_version == null || var.lambda_package.s3_key != null, var.lambda_package == null)
    error_message = "lambda_package.s3_object_version belongs to s3_bucket and s3_key."
  }

  validation {
    condition     = try(var.lambda_package.filename == null ? true : fileexists(var.lambda_package.filename), var.lambda_package == null)
    error_message = "lambda_package.filename does not exist; build it with `python3 scripts/package.py --build-dir DIR`."
  }
}

variable "package_builder" {
  description = <<-EOT
    How the module builds the zip at apply.
    - `python`: interpreter, 3.11 or newer, with pip
    - `build_dir`: folder for the zip; `.build/aurora-restore` in the root module when null
  EOT
  type = object({
    python    = optional(string, "python3")
    build_dir = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.package_builder.python != "" && var.package_builder.build_dir != ""
    error_message = "package_builder.python and package_builder.build_dir must not be empty."
  }
}

################################################################################
# Restores
################################################################################

variable "defaults" {
  description = "Default execution input, field by field, for what is the same every time (db_subnet_group_name, vpc_security_group_ids, db_instance_class, …): any of its fields but operation_id and mode. An execution's input overrides it; nulls are left out."
  # Of the request's schema only the names are checked here, the values by the functions: a type would be a second copy of it.
  type     = any
  default  = {}
  nullable = false

  validation {
    condition     = can(keys(var.defaults))
    error_message = "defaults must be an object, such as { db_instance_class = \"db.r6g.large\" }."
  }

  validation {
    condition     = length(setsubtract(try(keys(var.defaults), []), keys(local.request_fields))) == 0
    error_message = "defaults has fields that no request has: ${join(", ", setsubtract(try(keys(var.defaults), []), keys(local.request_fields)))}. The README lists the fields of the input."
  }

  validation {
    condition     = alltrue([for name in ["operation_id", "mode"] : try(var.defaults[name], null) == null])
    error_message = "defaults must not hold operation_id or mode: they are one operation's."
  }

  validation {
    condition     = try(length(distinct([for name in keys(var.defaults) : local.request_fields[name]])) == length(var.defaults), true)
    error_message = "defaults must hold a field by one of its names only (the README lists them: \"also accepted as\")."
  }

  validation {
    condition     = length(jsonencode(var.defaults)) <= 32768
    error_message = "defaults must be at most 32 KB as JSON."
  }
}

variable "copies" {
  description = <<-EOT
    Snapshot copies.
    - `lanes`: copies from another region that run at once, per account and region that they go to. AWS takes 5 (Aurora user
      guide: copying a DB cluster snapshot); less leaves room for others, more only where AWS has raised it
  EOT
  type = object({
    lanes = optional(number, 5)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.copies.lanes >= 1 && var.copies.lanes <= 20 && var.copies.lanes == floor(var.copies.lanes)
    error_message = "copies.lanes must be a whole number from 1 to 20."
  }
}

variable "waits" {
  description = <<-EOT
    Bounds of the adaptive waits between two looks at RDS.
    - `floor_seconds`, `cap_seconds`: shortest and longest wait. In between a wait is 1.25 % of the time that the phase is expected
      to take, or has taken, and 2.5 % once it has taken twice as long: the cap matters after some hours
    - `rds_calls_per_second`: what all operations together may ask of RDS; operations that start together wait their turn
  EOT
  type = object({
    floor_seconds        = optional(number, 10)
    cap_seconds          = optional(number, 600)
    rds_calls_per_second = optional(number, 2)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.waits.floor_seconds >= 5 && var.waits.cap_seconds >= var.waits.floor_seconds && var.waits.cap_seconds <= 900
    error_message = "waits must hold 5 <= floor_seconds <= cap_seconds <= 900: an execution ends at 25,000 history events."
  }

  validation {
    condition     = var.waits.rds_calls_per_second >= 1 && var.waits.rds_calls_per_second == floor(var.waits.rds_calls_per_second)
    error_message = "waits.rds_calls_per_second must be a whole number of at least 1."
  }
}

variable "deadlines" {
  description = <<-EOT
    Seconds after which a phase that is not done has failed.
    - `queue`: for an operation's snapshot copies together, until they get their turns, where more than `copies.lanes` are wanted at once
    - `copy`: until a snapshot copy is available, each
    - `cluster`: until the restored cluster is available
    - `configure`: until its changes are applied
    - `instance`: until the writer, with the upgrade of its engine where there is one, and then the readers, are available
    - `compensate`: until a failed operation is cleaned up; a cluster that is still being made can only be deleted when it is there
  EOT
  type = object({
    queue      = optional(number, 172800)
    copy       = optional(number, 86400)
    cluster    = optional(number, 86400)
    configure  = optional(number, 7200)
    instance   = optional(number, 21600)
    compensate = optional(number, 86400)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for phase, seconds in var.deadlines : seconds >= 300 && seconds <= (phase == "queue" ? 604800 : 129600)])
    error_message = "deadlines must be 300 to 129600 seconds (36 hours), queue to 604800 (7 days)."
  }
}

################################################################################
# Records and notifications
################################################################################

variable "record_ttl_days" {
  description = "How long the record of a finished operation stays in the state table. The audit table keeps its events."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.record_ttl_days >= 1 && var.record_ttl_days == floor(var.record_ttl_days)
    error_message = "record_ttl_days must be a whole number of at least 1."
  }
}

variable "table_deletion_protection" {
  description = "Deletion protection of both tables. Turn it off and apply before a destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "notifications" {
  description = <<-EOT
    Who is told how an operation ended.
    - `subscriptions`: by a name of your choice: `protocol` (email, email-json, https, sqs, lambda, sms, firehose, application), `endpoint`,
      and where wanted `filter_policy` (JSON), `filter_policy_scope`, `raw_message_delivery`, `subscription_role_arn` (firehose)
  EOT
  type = object({
    subscriptions = optional(map(object({
      protocol              = string
      endpoint              = string
      filter_policy         = optional(string)
      filter_policy_scope   = optional(string, "MessageAttributes")
      raw_message_delivery  = optional(bool, false)
      subscription_role_arn = optional(string)
    })), {})
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for subscription in values(var.notifications.subscriptions) :
      contains(["email", "email-json", "https", "sqs", "lambda", "sms", "firehose", "application"], subscription.protocol)
    ])
    error_message = "notifications.subscriptions: protocol must be email, email-json, https, sqs, lambda, sms, firehose or application (plain http is refused by the topic)."
  }

  validation {
    condition     = alltrue([for subscription in values(var.notifications.subscriptions) : subscription.filter_policy == null || can(jsondecode(subscription.filter_policy))])
    error_message = "notifications.subscriptions: filter_policy must be JSON; use jsonencode()."
  }

  validation {
    condition     = alltrue([for subscription in values(var.notifications.subscriptions) : contains(["MessageAttributes", "MessageBody"], subscription.filter_policy_scope)])
    error_message = "notifications.subscriptions: filter_policy_scope must be MessageAttributes or MessageBody."
  }

  validation {
    condition     = alltrue([for subscription in values(var.notifications.subscriptions) : (subscription.protocol == "firehose") == (subscription.subscription_role_arn != null)])
    error_message = "notifications.subscriptions: subscription_role_arn belongs to protocol firehose, and it needs one."
  }
}
