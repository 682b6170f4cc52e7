################################################################################
# Notifications: one topic, any number of subscriptions
################################################################################

resource "aws_sns_topic" "notifications" {
  name              = "${local.deployment}-notifications"
  kms_master_key_id = local.kms_key_arn
  tags              = local.tags
}

# Who may publish and subscribe is for this account's IAM policies to say; the topic itself only refuses plain HTTP.
resource "aws_sns_topic_policy" "notifications" {
  arn = aws_sns_topic.notifications.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.notifications.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "notifications" {
  for_each = var.notifications.subscriptions

  topic_arn             = aws_sns_topic.notifications.arn
  protocol              = each.value.protocol
  endpoint              = each.value.endpoint
  filter_policy         = each.value.filter_policy
  filter_policy_scope   = each.value.filter_policy == null ? null : each.value.filter_policy_scope
  raw_message_delivery  = each.value.raw_message_delivery
  subscription_role_arn = each.value.subscription_role_arn
}
