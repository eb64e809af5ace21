"""AWS Lambda, by boto3: a function of the user's own whose handler is in this package."""
