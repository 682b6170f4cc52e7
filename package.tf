################################################################################
# The Lambda zip: one build, one upload. Functions name bucket and key, and nothing else ever reads the zip, so that a
# runner without it can still rename, resize or re-create a function.
#
# `filename` on the functions would need the zip at every such change. (Tried: a rename on a runner without it destroys
# the functions and then fails; a build that was lost ends in "No changes" while the old code runs.)
################################################################################

locals {
  package_origin = (
    var.lambda_package == null ? "build" :
    var.lambda_package.filename != null ? "file" :
    "s3"
  )

  # What the zip's name is a hash of; scripts/package.py has the same list and computes the same.
  package_sources = sort(concat(
    tolist(fileset(path.module, "lambda_src/aurora_restore/**/*.{py,json,pem}")),
    ["lambda_src/requirements.txt", "scripts/package.py"],
  ))
  package_source_hash = sha256(join("", [for name in local.package_sources : "${name} ${filesha256("${path.module}/${name}")}\n"]))

  package_build_dir = coalesce(var.package_builder.build_dir, "${path.root}/.build/aurora-restore")

  package_hash = (
    local.package_origin == "build" ? local.package_source_hash :
    local.package_origin == "file" ? filesha256(var.lambda_package.filename) :
    null
  )
  package_file = (
    local.package_origin == "build" ? "${local.package_build_dir}/${one(terraform_data.package[*].output)}.zip" :
    local.package_origin == "file" ? var.lambda_package.filename :
    null
  )

  # Where the functions find their code.
  package = (
    local.package_origin == "s3" ?
    {
      bucket  = var.lambda_package.s3_bucket
      key     = var.lambda_package.s3_key
      version = var.lambda_package.s3_object_version
    } :
    {
      bucket  = one(aws_s3_object.package[*].bucket)
      key     = one(aws_s3_object.package[*].key)
      version = null # the key is a hash of the content
    }
  )
}

################################################################################
# Build
################################################################################

resource "terraform_data" "package" {
  count = local.package_origin == "build" ? 1 : 0

  # A new bucket has no zip in it, and an old build folder may be gone: build again with either.
  triggers_replace = {
    sources = local.package_source_hash
    bucket  = aws_s3_bucket.package[0].id
  }
  # Read through `output`, which is unknown while a build is pending: what looks for the zip then waits for it.
  input = local.package_source_hash

  provisioner "local-exec" {
    # No shell in between: the same on Windows, and no quoting of paths.
    interpreter = [var.package_builder.python, "${path.module}/scripts/package.py", "--build-dir", local.package_build_dir]
    command     = local.package_source_hash
  }
}

################################################################################
# Upload
################################################################################

resource "aws_s3_object" "package" {
  count = local.package_origin == "s3" ? 0 : 1

  bucket     = aws_s3_bucket.package[0].id
  key        = "lambda/${local.package_hash}.zip"
  source     = local.package_file
  kms_key_id = local.kms_key_arn

  # An object takes ten tags at most (S3:PutObjectTagging); a provider's default_tags may be more.
  override_provider {
    default_tags {
      tags = {}
    }
  }

  lifecycle {
    # The new zip is there before the functions turn to it, the old one goes after they did.
    create_before_destroy = true
    # The folder is where one runner built; another runner's folder is no reason to upload again.
    ignore_changes = [source]

    precondition {
      condition = (
        contains(one(data.aws_s3_objects.package[*].keys), "lambda/${local.package_hash}.zip") ||
        fileexists(local.package_file)
      )
      error_message = join(" ", [
        "The Lambda zip is neither in the bucket nor on this machine (${coalesce(local.package_file, "-")}):",
        "the run that built it ended before the upload, or the object was deleted from the bucket.",
        "Build it again with terraform apply -replace='ADDRESS.terraform_data.package[0]',",
        "where ADDRESS is this module's, such as module.aurora_restore.",
      ])
    }
  }

  depends_on = [
    aws_s3_bucket_policy.package,
    aws_s3_bucket_public_access_block.package,
    aws_s3_bucket_server_side_encryption_configuration.package,
    aws_s3_bucket_versioning.package,
  ]
}

# Says at plan whether the upload has happened, without which a lost build could not be told from a finished one.
data "aws_s3_objects" "package" {
  count = local.package_origin == "s3" ? 0 : 1

  bucket = aws_s3_bucket.package[0].id
  prefix = "lambda/${local.package_hash}.zip"
}

################################################################################
# Bucket
################################################################################

resource "aws_s3_bucket" "package" {
  count = local.package_origin == "s3" ? 0 : 1

  # The provider adds 26 characters, and a bucket's name ends at 63.
  bucket_prefix = "${trimsuffix(substr(local.deployment, 0, 36), "-")}-"
  force_destroy = true # nothing but zips that can be built again
  tags          = local.tags
}

resource "aws_s3_bucket_versioning" "package" {
  count = length(aws_s3_bucket.package)

  bucket = aws_s3_bucket.package[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "package" {
  count = length(aws_s3_bucket.package)

  bucket = aws_s3_bucket.package[0].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = local.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "package" {
  count = length(aws_s3_bucket.package)

  bucket                  = aws_s3_bucket.package[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "package" {
  count = length(aws_s3_bucket.package)

  bucket = aws_s3_bucket.package[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "package" {
  count = length(aws_s3_bucket.package)

  bucket = aws_s3_bucket.package[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.package[0].arn, "${aws_s3_bucket.package[0].arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })

  # S3 refuses two changes of a bucket's access at once (409 OperationAborted).
  depends_on = [aws_s3_bucket_public_access_block.package]
}
