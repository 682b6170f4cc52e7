variable "name" {
  description = "Name of the key's alias, without `alias/`."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9/_-]{1,250}$", var.name)) && !startswith(var.name, "aws/")
    error_message = "name must be 1 to 250 letters, digits and characters of /_-, and not begin with \"aws/\" (KMS: CreateAlias)."
  }
}

variable "source_role_arn" {
  description = "The role that copies snapshots to the key: the output `role_arn` of `modules/source-account`."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::${data.aws_caller_identity.current.account_id}:role/.+$", var.source_role_arn))
    error_message = "source_role_arn must be the ARN of a role of the provider's account: the key belongs to the source account."
  }
}

variable "key_role_arns" {
  description = "The pipeline's roles that restore and copy from what is under the key: its output `source_key_role_arns`."
  type        = list(string)

  validation {
    condition     = length(var.key_role_arns) > 0 && alltrue([for arn in var.key_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "key_role_arns must be ARNs of roles (arn:aws:iam::<account>:role/<name>), at least one."
  }
}

variable "deletion_window_days" {
  description = "How long the key can still be saved after a destroy. Until it is saved, snapshots that are left under it cannot be read."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "deletion_window_days must be 7 to 30 (KMS: ScheduleKeyDeletion)."
  }
}

variable "tags" {
  description = "Tags on the key."
  type        = map(string)
  default     = {}
  nullable    = false
}
