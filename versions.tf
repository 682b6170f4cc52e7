terraform {
  required_version = ">= 1.11"

  required_providers {
    # Tested with 5.100.0. Region comes from data.aws_region.current.id, which means the same in 5.x and 6.x.
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}
