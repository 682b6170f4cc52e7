################################################################################
# AuroraRestoreState: one record per operation, the truth of what was made and how far it came
################################################################################

resource "aws_dynamodb_table" "state" {
  name         = local.state_table_name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "operation_id"

  attribute {
    name = "operation_id"
    type = "S"
  }

  # Set on finished records only.
  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = local.kms_key_arn
  }

  deletion_protection_enabled = var.table_deletion_protection
  tags                        = local.tags
}

################################################################################
# AuroraRestoreAudit: append-only; no role of this module may update or delete in it
################################################################################

resource "aws_dynamodb_table" "audit" {
  name         = local.audit_table_name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "operation_id"
  range_key    = "event_id"

  attribute {
    name = "operation_id"
    type = "S"
  }

  attribute {
    name = "event_id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = local.kms_key_arn
  }

  deletion_protection_enabled = var.table_deletion_protection
  tags                        = local.tags
}
