"""boto3 as it comes, over mTLS."""

import io
import json
import zipfile

import agent
import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

MEBIBYTE = 1024 * 1024
SESSION = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret")


def client(service, region, **options):
    config = Config(client_cert=(agent.CERTIFICATE, agent.KEY), retries={"total_max_attempts": 1}, **options)
    return SESSION.client(service, region_name=region, config=config)


def denied(call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        headers = error.response["ResponseMetadata"]["HTTPHeaders"]
        agent.tell(
            kind="ClientError",
            code=error.response["Error"]["Code"],
            text=error.response["Error"]["Message"],
            decision_id=headers["x-hexr-decision-id"],
        )
    else:
        agent.tell(kind="nothing", call=str(call))


def s3():
    s3 = client("s3", "eu-central-1")
    place = {"LocationConstraint": "eu-central-1"}
    s3.create_bucket(Bucket="reports", CreateBucketConfiguration=place)
    key = "2026/a b+c//ü~%2F.csv"
    s3.put_object(Bucket="reports", Key=key, Body=b"numbers", Metadata={"author": "x"})
    assert s3.get_object(Bucket="reports", Key=key)["Body"].read() == b"numbers"
    s3.copy_object(Bucket="reports", Key="copy", CopySource={"Bucket": "reports", "Key": key})
    listed = s3.list_objects_v2(Bucket="reports", Prefix="2026/")
    assert [found["Key"] for found in listed["Contents"]] == [key], listed
    in_parts = TransferConfig(multipart_threshold=5 * MEBIBYTE, multipart_chunksize=5 * MEBIBYTE, use_threads=False)
    s3.upload_fileobj(io.BytesIO(b"x" * 6 * MEBIBYTE), "reports", "large", Config=in_parts)
    assert s3.head_object(Bucket="reports", Key="large")["ContentLength"] == 6 * MEBIBYTE
    denied(s3.delete_object, Bucket="reports", Key=key)
    denied(s3.put_object, Bucket="payroll", Key="x", Body=b"x" * MEBIBYTE)

    path_style = client("s3", "us-east-1", s3={"addressing_style": "path"})
    path_style.create_bucket(Bucket="elsewhere")
    path_style.put_object(Bucket="elsewhere", Key="a", Body=b"1")
    path_style.get_object_tagging(Bucket="elsewhere", Key="a")
    denied(path_style.delete_bucket, Bucket="elsewhere")


def dynamodb():
    dynamodb = client("dynamodb", "us-west-2")
    dynamodb.create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="runs", Item={"id": {"S": "1"}})
    assert "Item" in dynamodb.get_item(TableName="runs", Key={"id": {"S": "1"}})
    denied(dynamodb.delete_table, TableName="runs")


def sqs():
    sqs = client("sqs", "eu-west-1")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    url = "https://sqs.eu-west-1.amazonaws.com" + url[url.index("/", len("https://")) :]
    sqs.send_message(QueueUrl=url, MessageBody="do")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "do"
    denied(sqs.delete_queue, QueueUrl=url)


def sts():
    for region in ("us-east-1", "ap-northeast-1"):
        client("sts", region).get_caller_identity()
    role = "arn:aws:iam::123456789012:role/admin"
    denied(client("sts", "ap-northeast-1").assume_role, RoleArn=role, RoleSessionName="agent")


def functions():
    trust = {"Version": "2012-10-17", "Statement": []}
    iam = client("iam", "us-east-1")
    role = iam.create_role(RoleName="runner", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", "def handler(event, context): return event")
    functions = client("lambda", "ap-southeast-2")
    functions.create_function(
        FunctionName="f", Runtime="python3.13", Role=role, Handler="main.handler", Code={"ZipFile": code.getvalue()}
    )
    functions.invoke(FunctionName="f", Payload=b"{}")
    denied(functions.delete_function, FunctionName="f")


def ec2():
    ec2 = client("ec2", "us-east-2")
    assert ec2.describe_regions()["Regions"]
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    denied(ec2.terminate_instances, InstanceIds=["i-1234567890abcdef0"])


for part in (s3, dynamodb, sqs, sts, functions, ec2):
    part()
