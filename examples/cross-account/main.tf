# The account and region that clusters are restored into.
provider "aws" {
  region  = var.region
  profile = var.profile
}

# The account whose snapshots they are restored from, in the region where it keeps them …
provider "aws" {
  alias   = "source"
  region  = var.source_region
  profile = var.source_profile
}

# … and in the region that they are restored into: a key is regional.
provider "aws" {
  alias   = "source_in_target_region"
  region  = var.region
  profile = var.source_profile
}

module "aurora_restore" {
  source = "../.."

  name        = var.name
  environment = var.environment
  tags        = var.tags

  source_accounts = module.source_account.source_account

  vpc_config = {
    subnet_ids         = var.subnet_ids
    security_group_ids = var.lambda_security_group_ids
  }

  # What is the same for every restore; an execution's input overrides it field by field.
  defaults = {
    db_subnet_group_name   = var.db_subnet_group_name
    vpc_security_group_ids = var.cluster_security_group_ids
    db_instance_class      = var.db_instance_class
  }

  database = {
    extra_ca_pem = var.extra_ca_pem
  }

  notifications = {
    subscriptions = var.notification_email == null ? {} : {
      team = { protocol = "email", endpoint = var.notification_email }
    }
  }

  table_deletion_protection = var.table_deletion_protection
}

# The role that the pipeline takes on in the source account.
module "source_account" {
  source    = "../../modules/source-account"
  providers = { aws = aws.source }

  deployment         = module.aurora_restore.deployment
  pipeline_role_arns = module.aurora_restore.source_access_role_arns
  key_role_arns      = module.aurora_restore.source_key_role_arns
  external_id        = var.external_id
  organization_id    = var.organization_id

  # Snapshots that are under one of these already are shared as they are.
  source_kms_key_arns = var.source_kms_key_arns

  share_kms_key_arns = module.share_key.share_kms_key_arns
  tags               = var.tags
}

# The key that the others are copied to, straight into the target's region: an automated snapshot, or one under the default key,
# cannot be shared itself. The copy is restored from directly, under a key of the pipeline's own account.
module "share_key" {
  source    = "../../modules/share-key"
  providers = { aws = aws.source_in_target_region }

  name                 = "${module.aurora_restore.deployment}-share"
  source_role_arn      = module.source_account.role_arn
  key_role_arns        = module.aurora_restore.source_key_role_arns
  deletion_window_days = var.kms_key_deletion_window_days
  tags                 = var.tags
}
