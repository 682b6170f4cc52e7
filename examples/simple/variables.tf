variable "region" {
  description = "Region to restore into; the snapshots are here too."
  type        = string
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

variable "on_call_email" {
  description = "Address to tell of failed restores alone; null for none."
  type        = string
  default     = null
}

variable "table_deletion_protection" {
  description = "Deletion protection of the tables; turn it off and apply before a destroy."
  type        = bool
  default     = true
}

variable "passable_role_arns" {
  description = "IAM roles that a restore may hand to RDS (monitoring_role_arn, associated_roles)."
  type        = list(string)
  default     = []
}
