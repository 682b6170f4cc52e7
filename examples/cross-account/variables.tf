variable "region" {
  description = "Region to restore into."
  type        = string
}

variable "profile" {
  description = "Profile of the AWS configuration for the account to restore into; null for the environment's own credentials."
  type        = string
  default     = null
}

variable "source_region" {
  description = "Region of the source account's snapshots."
  type        = string
}

variable "source_profile" {
  description = "Profile of the AWS configuration for the source account. It may take on a role there (role_arn, source_profile)."
  type        = string
}

variable "external_id" {
  description = "Random text that the pipeline names to take on the source account's role, such as a UUID."
  type        = string
}

variable "organization_id" {
  description = "Organization that the pipeline's roles must belong to; null asks for none."
  type        = string
  default     = null
}

variable "source_kms_key_arns" {
  description = "Customer keys in the source account and region that manual snapshots are under, by a name of your choice."
  type        = map(string)
  default     = {}
}

variable "name" {
  description = "Name of the deployment."
  type        = string
  default     = "aurora-restore"
}

variable "environment" {
  description = "Environment, part of all names; empty for none."
  type        = string
  default     = ""
}

variable "tags" {
  description = "Tags on everything that the module and its restores make."
  type        = map(string)
  default     = {}
}

variable "subnet_ids" {
  description = "Private subnets for the functions that connect to restored clusters, with a route to the AWS APIs."
  type        = list(string)
}

variable "lambda_security_group_ids" {
  description = "Security groups of these functions."
  type        = list(string)
}

variable "db_subnet_group_name" {
  description = "Subnet group that clusters are restored into."
  type        = string
}

variable "cluster_security_group_ids" {
  description = "Security groups of restored clusters; they must let the functions' groups in at the database port."
  type        = list(string)
}

variable "db_instance_class" {
  description = "Instance class of restored clusters."
  type        = string
  default     = "db.t4g.medium"
}

variable "extra_ca_pem" {
  description = "PEM of a CA to trust beside Amazon RDS's; empty for none."
  type        = string
  default     = ""
}

variable "notification_email" {
  description = "Address to tell how each restore ended; null for none."
  type        = string
  default     = null
}

variable "table_deletion_protection" {
  description = "Deletion protection of the tables; turn it off and apply before a destroy."
  type        = bool
  default     = true
}

variable "kms_key_deletion_window_days" {
  description = "How long the key to share under can be saved after a destroy."
  type        = number
  default     = 30
}
