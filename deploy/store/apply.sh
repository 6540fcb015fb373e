#!/bin/sh
# Gives the bucket its rules, with any S3 server that has them: who may use it from a browser, and what broken uploads leave.
#   STORE_URL, STORE_BUCKET, PAGES_ORIGIN, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION
set -eu

cors=$(sed "s|https://scenes.example.org|${PAGES_ORIGIN%/}|" "$(dirname "$0")/cors.json")
n=0
until aws --endpoint-url "$STORE_URL" s3api head-bucket --bucket "$STORE_BUCKET" >/dev/null; do # the store may still be making it
  n=$((n + 1))
  [ "$n" -lt 30 ] || exit 1
  sleep 2
done
aws --endpoint-url "$STORE_URL" s3api put-bucket-cors --bucket "$STORE_BUCKET" --cors-configuration "$cors"
aws --endpoint-url "$STORE_URL" s3api put-bucket-lifecycle-configuration --bucket "$STORE_BUCKET" \
  --lifecycle-configuration "$(cat "$(dirname "$0")/lifecycle.json")"
echo "the bucket $STORE_BUCKET has its rules, for pages at $PAGES_ORIGIN"
