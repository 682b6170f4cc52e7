variable "deployment" {
  description = "The pipeline's name: its output `deployment`. Copies are made and deleted only with it in the tag `aurora-restore:managed-by`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.deployment)) && length(var.deployment) <= 61
    error_message = "deployment must be the pipeline's output `deployment`: up to 61 lower-case letters, digits and single hyphens."
  }
}

variable "pipeline_role_arns" {
  description = "The pipeline's roles that may take on the role made here: its output `source_access_role_arns`."
  type        = list(string)

  validation {
    condition     = length(var.pipeline_role_arns) > 0 && alltrue([for arn in var.pipeline_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "pipeline_role_arns must be ARNs of roles (arn:aws:iam::<account>:role/<name>), at least one; an account as a whole is not trusted."
  }
}

variable "key_role_arns" {
  description = "The pipeline's roles that use keys of this account: its output `source_key_role_arns`. Needed with `share_key` and `source_kms_key_arns`."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.key_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "key_role_arns must be ARNs of roles (arn:aws:iam::<account>:role/<name>)."
  }

  validation {
    condition     = length(var.key_role_arns) > 0 || (var.share_key == null && length(var.source_kms_key_arns) == 0)
    error_message = "key_role_arns is needed with share_key and source_kms_key_arns: give the pipeline's output `source_key_role_arns`."
  }
}

variable "external_id" {
  description = "What the pipeline's roles have to name to take on the role (sts:ExternalId): a random text, another one for each pipeline. No secret, but nothing to guess either."
  type        = string

  validation {
    condition     = can(regex("^[\\w+=,.@:/-]+$", var.external_id)) && length(var.external_id) >= 16 && length(var.external_id) <= 1224
    error_message = "external_id must be 16 to 1224 letters, digits and characters of _+=,.@:/-, such as a UUID."
  }
}

variable "organization_id" {
  description = "Id of the organization (AWS Organizations) that the pipeline's roles must belong to as well; null asks for none."
  type        = string
  default     = null

  validation {
    condition     = var.organization_id == null || can(regex("^o-[a-z0-9]{10,32}$", var.organization_id))
    error_message = "organization_id must be the id of an organization, such as \"o-a1b2c3d4e5\"."
  }
}

variable "role_name" {
  description = "Name of the role; `<deployment>-snapshot-source` when null. Two pipelines of one name (in two regions) need two."
  type        = string
  default     = null

  validation {
    condition     = var.role_name == null || can(regex("^[\\w+=,.@-]{1,64}$", var.role_name))
    error_message = "role_name must be 1 to 64 letters, digits and characters of _+=,.@- (IAM: CreateRole)."
  }
}

variable "role_path" {
  description = "Path of the role."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([!-~]+/)?$", var.role_path)) && length(var.role_path) <= 512
    error_message = "role_path must begin and end with a slash, such as \"/platform/\"."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the role."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary must be the ARN of an IAM policy (arn:aws:iam::<account>:policy/<name>)."
  }
}

variable "share_key" {
  description = <<-EOT
    A key in the provider's region under which snapshots are copied to be shared; null for none. For other regions
    `modules/share-key` is applied with a provider of that region, and its output given to `share_kms_key_arns`.
    - `deletion_window_days`: how long it can still be saved after a destroy
  EOT
  type = object({
    deletion_window_days = optional(number, 30)
  })
  default = null
}

variable "share_kms_key_arns" {
  description = "Keys to share under in other regions, by region: the outputs `share_kms_key_arns` of `modules/share-key`, merged."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for region, arn in var.share_kms_key_arns : can(regex("^arn:[a-z-]+:kms:${region}:${data.aws_caller_identity.current.account_id}:key/[A-Za-z0-9-]+$", arn))
    ])
    error_message = "share_kms_key_arns must be by region the ARNs of keys of that region and of the provider's account (arn:aws:kms:<region>:<account>:key/<id>)."
  }
}

variable "source_kms_key_arns" {
  description = "Customer keys of this account and of the provider's region that manual snapshots are under already, by a name of your choice: with a grant on each such snapshots are shared as they are."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for arn in values(var.source_kms_key_arns) :
      can(regex("^arn:[a-z-]+:kms:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:key/[A-Za-z0-9-]+$", arn))
    ])
    error_message = "source_kms_key_arns must be ARNs of keys of the provider's account and region (arn:aws:kms:<region>:<account>:key/<id>)."
  }

  validation {
    condition     = alltrue([for name in keys(var.source_kms_key_arns) : can(regex("^[A-Za-z0-9_/-]{1,64}$", name))])
    error_message = "source_kms_key_arns: names must be 1 to 64 letters, digits and characters of _/-: they become part of the grants' names."
  }
}

variable "tags" {
  description = "Tags on the role and the key."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && !startswith(lower(key), "aurora-restore:")])
    error_message = "tags must not begin with \"aws:\" (AWS's own) or \"aurora-restore:\" (the pipeline's own, which its permissions rest on)."
  }
}
