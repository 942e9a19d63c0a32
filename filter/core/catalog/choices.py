"""What no model says and people have decided. A change here changes names that policies use."""

# Services that botocore has twice, or that answer at one host with the same operations: one name for policies.
FAMILIES = {
    "docdb": "rds",
    "neptune": "rds",
    "qconnect": "wisdom",
    "greengrassv2": "greengrass",
    "sms-voice": "pinpoint-sms-voice",
}

# Operations that two services have at one host, and that nothing in a request tells apart: they belong to the first.
SHARED_OPERATIONS = {
    ("lambda", "lambda-microvms"),
    ("signer", "signer-data"),
}

# Host prefixes of one operation that are taken from the request.
VARIABLE_PREFIXES = {"{AccountId}.": "{}", "{RequestRoute}.": "{}", "{graphIdentifier}.": "{}"}

# Hosts that AWS documents and botocore's rules do not have.
LEGACY_HOSTS = {
    "s3": [
        "s3-external-1.amazonaws.com",
        *(
            f"s3-{region}.amazonaws.com"
            for region in (
                "us-west-1", "us-west-2", "eu-west-1", "eu-central-1", "sa-east-1", "ap-south-1",
                "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ap-northeast-2", "us-gov-west-1",
            )
        ),
    ],
    # Where Timestream sends its clients.
    "timestream-query": [f"query-cell{number}.timestream.{{R}}.amazonaws.com" for number in range(1, 10)],
    "timestream-write": [f"ingest-cell{number}.timestream.{{R}}.amazonaws.com" for number in range(1, 10)],
    "sqs": ["{R}.queue.amazonaws.com", "queue.amazonaws.com"],
}

# What botocore sends otherwise than its model says: a search whose parameters do not fit into a query.
SENT_OTHERWISE = {("cloudsearchdomain", "Search"): "POST"}

# Protocols that servers still speak and models no longer list: older SDKs use them.
LEGACY_QUERY = {"sqs": "2012-11-05"}

# The verbs of Google's methods that every resource may have.
STANDARD_VERBS = {"get", "list", "create", "insert", "update", "patch", "delete"}

# Collections that only say where a resource is.
CONTAINERS = {"projects", "folders", "organizations", "locations", "billingAccounts"}

# Google's methods by which a model is asked, beyond those whose verb says so.
MODEL_VERBS = {
    "generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents", "predict",
    "predictLongRunning", "rawPredict", "streamRawPredict", "serverStreamingPredict", "computeTokens",
    "fetchPredictOperation", "asyncBatchEmbedContent", "batchGenerateContent", "generateAnswer", "generateMessage",
    "generateText", "bidiGenerateContent", "embedText", "batchEmbedText", "countTextTokens", "countMessageTokens",
}

# The Gemini API for developers, which has no discovery document here.
GEMINI_VERSIONS = ["v1", "v1beta", "v1alpha"]
GEMINI_ROUTES = [
    ("GET", "models", "models.list"),
    ("GET", "models/{}", "models.get"),
    *(
        ("POST", f"models/{{}}:{verb}", verb)
        for verb in (
            "generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents",
            "predict", "predictLongRunning", "generateAnswer", "batchGenerateContent", "asyncBatchEmbedContent",
        )
    ),
    ("GET", "models/{}/operations/{}", "operations.get"),
    ("GET", "operations/{}", "operations.get"),
    ("GET", "files", "files.list"),
    ("POST", "files", "files.create"),
    ("GET", "files/{}", "files.get"),
    ("DELETE", "files/{}", "files.delete"),
    ("GET", "cachedContents", "cachedContents.list"),
    ("POST", "cachedContents", "cachedContents.create"),
    ("GET", "cachedContents/{}", "cachedContents.get"),
    ("PATCH", "cachedContents/{}", "cachedContents.patch"),
    ("DELETE", "cachedContents/{}", "cachedContents.delete"),
    ("GET", "tunedModels", "tunedModels.list"),
    ("POST", "tunedModels", "tunedModels.create"),
    ("GET", "tunedModels/{}", "tunedModels.get"),
    ("PATCH", "tunedModels/{}", "tunedModels.patch"),
    ("DELETE", "tunedModels/{}", "tunedModels.delete"),
    ("POST", "tunedModels/{}:generateContent", "generateContent"),
    ("POST", "tunedModels/{}:streamGenerateContent", "streamGenerateContent"),
    ("GET", "batches", "batches.list"),
    ("GET", "batches/{}", "batches.get"),
    ("DELETE", "batches/{}", "batches.delete"),
    ("POST", "batches/{}:cancel", "batches.cancel"),
]

# What Azure serves below `/openai/deployments/{deployment}`.
AZURE_DEPLOYMENT_PATHS = [
    "completions", "chat/completions", "embeddings", "audio/transcriptions", "audio/translations", "audio/speech",
    "images/generations", "images/edits",
]
AZURE_HOSTS = ["{}.openai.azure.com", "{}.cognitiveservices.azure.com", "{}.services.ai.azure.com"]
