# A key that is made in the same apply: its ARN, which the plan does not know, decides nothing that the plan has to know.

mock_provider "aws" {
  source = "./tests/terraform/mocks"
}

override_resource {
  target = aws_kms_key.own
  values = { arn = "arn:aws:kms:eu-west-1:111122223333:key/11111111-1111-4111-8111-111111111111" }
}

run "key_of_the_same_root" {
  module {
    source = "./tests/terraform/own_key"
  }

  assert {
    condition     = output.kms_key_arn == "arn:aws:kms:eu-west-1:111122223333:key/11111111-1111-4111-8111-111111111111"
    error_message = "The module uses the root's key."
  }
}
