#!/bin/sh
# deploy.sh: deploys evalx on AWS, starting from an empty account.  docs/guide/DEPLOY.md explains every step.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname "$(dirname "$here")")

usage()
{
    cat <<'END'
usage: deploy.sh COMMAND [OPTIONS]

  cost      prints what the fleet costs a month; makes no request
  check     checks this machine and the account: zones, quota, default VPC
  image     builds the image from this clone (30 to 60 minutes)
  service   creates the fleet or updates it to the given options (about 15 minutes)
  up        runs image, service and test
  status    prints addresses, instances and alarms
  test      sends a batch to the fleet and compares the answers
  destroy   deletes the fleet; with --all also images, sources and the build stack

  --env dev|production   the .parameters file to use, and the default name of the fleet (default dev)
  --name NAME            another name for the fleet, to run a second one beside the first
  --region REGION        default: the region that the aws command is configured for
  --allow CIDR           addresses that may reach the load balancer, such as 203.0.113.7/32; 0.0.0.0/0 allows everyone
  --certificate ARN      enables HTTPS with this ACM certificate
  --keys PARAMETER       API keys: the name, without the first slash, of an SSM parameter that contains the lines of
                         EVALX_API_KEYS_FILE
  --email ADDRESS        receives alarms
  --image AMI            uses this image instead of the newest, for example to roll back
  --set KEY=VALUE        sets a parameter of service.yaml; may be repeated
  --build-options WORDS  options for build_ami.sh
  --dry-run              prints each command that would change something instead of running it
  --yes                  asks for no confirmation
END
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "deploy.sh: $*"; exit 1; }

env_name=dev fleet='' region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}} allow='' certificate='' keys='' email='' image=''
sets='' build_options='' dry_run='' yes='' all=''
[ $# -gt 0 ] || { usage >&2; exit 2; }
command=$1
shift
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry_run=yes; shift; continue ;;
    --yes) yes=yes; shift; continue ;;
    --all) all=yes; shift; continue ;;
    --env | --name | --region | --allow | --certificate | --keys | --email | --image | --set | --build-options) ;;
    *) usage >&2; exit 2 ;;
    esac
    [ $# -ge 2 ] || fail "$1 requires a value"
    case $1 in
    --env) env_name=$2 ;;
    --name) fleet=$2 ;;
    --region) region=$2 ;;
    --allow) allow=$2 ;;
    --certificate) certificate=$2 ;;
    --keys) keys=${2#/} ;;
    --email) email=$2 ;;
    --image) image=$2 ;;
    --set) sets="$sets $2" ;;
    --build-options) build_options=$2 ;;
    esac
    shift 2
done
parameters=$here/$env_name.parameters
[ -f "$parameters" ] || fail "--env $env_name: the file $parameters does not exist"
fleet=${fleet:-$env_name}
stack=evalx-$fleet

# The effective parameters: those of the file, overridden by --set.
settings()
{
    {
        grep -E '^[A-Za-z]+=' "$parameters"
        # shellcheck disable=SC2086 # words
        [ -z "$sets" ] || printf '%s\n' $sets
    } | awk -F= '{ if (!($1 in value)) order[++n] = $1; value[$1] = substr($0, length($1) + 2) }
        END { for (i = 1; i <= n; i++) print order[i] "=" value[order[i]] }'
}

setting() { settings | sed -n "s/^$1=//p"; }

# run COMMAND...: runs a command that changes something; a dry run only prints it.
run()
{
    say "+ $*"
    [ -n "$dry_run" ] || "$@"
}

# ask COMMAND...: runs a read-only aws command.  It may fail in a dry run without an account.
ask() { aws --region "$region" --output text "$@" 2>/dev/null; }

confirm()
{
    [ -z "$yes" ] && [ -z "$dry_run" ] || return 0
    printf '%s [y/N] ' "$*" >&2
    read -r answer || answer=
    case $answer in y | Y | yes) ;; *) fail "cancelled" ;; esac
}

need_region()
{
    command -v aws >/dev/null ||
        fail "the aws command is missing: https://aws.amazon.com/cli (version 2), or pip install awscli"
    [ -n "$region" ] || region=$(aws configure get region || true)
    [ -n "$region" ] || fail "the region is not set: use --region us-east-1, or run: aws configure"
}

account()
{
    found=$(ask sts get-caller-identity --query Account || true)
    if [ -n "$found" ]; then
        echo "$found"
    elif [ -n "$dry_run" ]; then
        echo 000000000000
    else
        fail "the aws command has no valid keys: run aws configure, or aws sso login"
    fi
}

bucket() { echo "evalx-sources-$(account)-$region"; }

output()
{
    ask cloudformation describe-stacks --stack-name "$1" --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue" |
        grep -v '^None$'
}

# ---- commands ----

# Multiplies the prices in prices.txt (dollars an hour, or a month) by 730 hours a month.
cost()
{
    languages=$(cat "$root"/languages/*.conf 2>/dev/null | grep -c '^\[language\]\|^\[version ' || true)
    settings | awk -F= -v prices="$here/prices.txt" -v languages=$((languages + 1)) '
        BEGIN {
            while ((getline line < prices) > 0)
                if (line !~ /^#/) { split(line, word, / /); price[word[1]] = word[2] }
        }
        { value[$1] = $2 }
        function per_hour(item) {
            if (!(item in price)) missing = missing " " item
            return price[item] * 730
        }
        function row(count, what, each, more) {
            printf "%4s  %-34s %9.2f  %9.2f\n", count, what, each, each * count; low += each * count
            high += each * (more > count ? more : count) }
        END {
            split(value["WorkerInstanceTypes"], types, ","); worker = types[1]
            print "      each month in us-east-1, on demand       each        sum"
            api = value["ApiInstanceType"]
            row(value["ApiMin"], "API server " api, per_hour(api), value["ApiMax"])
            row(value["WorkerMin"], "worker " worker, per_hour(worker), value["WorkerMax"])
            row(value["ApiMin"] + value["WorkerMin"], "disk, 30 GB gp3", price["disk"] * 30,
                value["ApiMax"] + value["WorkerMax"])
            row(value["CacheNodes"], "Redis " value["CacheNodeType"], per_hour(value["CacheNodeType"]), 0)
            row(1, "load balancer, one unit of load", per_hour("balancer") + per_hour("balancer-unit"), 0)
            row(value["NatGateways"], "NAT gateway", per_hour("nat"), 0)
            row(2 + value["NatGateways"], "public IPv4 address", per_hour("address"), 0)
            row(languages + 11, "metric of CloudWatch", price["metric"], 0)
            row(18, "alarm", price["alarm"], 0)
            row(1, "dashboard", price["dashboard"], 0)
            row(value["ApiMin"], "log records of metrics, GB", price["log"] * 3, value["ApiMax"])
            row(1, "secret", price["secret"], 0)
            printf "\n      from %.0f USD at rest to %.0f USD with every instance running all month\n", low, high
            print  "      not included: traffic to the internet (0.09 USD/GB) and through NAT (0.045 USD/GB), taxes"
            if (missing != "") print "      without a price, counted as 0:" missing
        }'
}

check()
{
    need_region
    say "account $(account), region $region"
    zones=$(ask ec2 describe-availability-zones --query 'length(AvailabilityZones)' || echo '?')
    say "availability zones: $zones (two are needed)"
    quota=$(ask service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A \
        --query Quota.Value || echo '?')
    say "quota of vCPUs for running on-demand instances: $quota"
    say "  this fleet starts with $(($(setting ApiMin) + $(setting WorkerMin))) instances and may grow to" \
        "$(($(setting ApiMax) + $(setting WorkerMax))); request a higher quota under Service Quotas if needed"
    default=$(ask ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' || echo None)
    [ "$default" != None ] ||
        say "the image is built in the default VPC, which is missing: run aws ec2 create-default-vpc --region $region"
}

version()
{
    if git -C "$root" rev-parse --short=12 HEAD >/dev/null 2>&1; then
        git -C "$root" rev-parse --short=12 HEAD
        [ -z "$(git -C "$root" status --porcelain)" ] || say "note: uncommitted changes are not part of the image"
    else
        find "$root" -type f ! -path '*/build*' -exec sha256sum {} + | sort | sha256sum | cut -c1-12
    fi
}

pack()
{
    if git -C "$root" rev-parse HEAD >/dev/null 2>&1; then
        git -C "$root" archive --format=tar.gz -o "$1" HEAD
    else
        tar -C "$root" --exclude='./build*' -czf "$1" .
    fi
}

make_image()
{
    need_region
    name=$(version)
    bucket=$(bucket)
    if ! ask s3api head-bucket --bucket "$bucket" >/dev/null; then
        run aws --region "$region" s3 mb "s3://$bucket"
        run aws --region "$region" s3api put-public-access-block --bucket "$bucket" \
            --public-access-block-configuration \
            BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
    fi
    archive=$(mktemp)
    trap 'rm -f "$archive"' EXIT
    pack "$archive"
    run aws --region "$region" s3 cp --only-show-errors "$archive" "s3://$bucket/sources/$name.tar.gz"
    say "building the image of $name; EC2 Image Builder in the console shows the progress"
    run aws --region "$region" cloudformation deploy --stack-name evalx-image --template-file "$here/image.yaml" \
        --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --tags project=evalx \
        --parameter-overrides "SourceBucket=$bucket" "SourceVersion=$name" "BuildOptions=$build_options"
    rm -f "$archive"
    say "image: $(output evalx-image ImageId || true)"
}

# current_value KEY: the value of a parameter of the existing stack, or nothing.
current_value()
{
    ask cloudformation describe-stacks --stack-name "$stack" \
        --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue" | grep -v '^None$'
}

# The allowed addresses must be given once.  Allowing everyone without HTTPS and API keys needs a confirmation.
check_access()
{
    [ -n "$allow" ] || allow=$(current_value AllowedCidr || true)
    [ -n "$allow" ] || fail "--allow CIDR is required: your own address is \$(curl -s https://checkip.amazonaws.com)/32"
    case $allow in */0) ;; *) return 0 ;; esac
    if [ -z "$certificate$(current_value CertificateArn || true)" ] ||
        [ -z "$keys$(current_value ApiKeysParameter || true)" ]; then
        say "--allow $allow lets everyone in without HTTPS or without API keys: add --certificate and --keys"
        confirm "allow everyone to run programs there?"
    fi
}

# The parameters to set.  CloudFormation keeps the previous value of parameters that are not named.
overrides()
{
    settings
    echo "FleetName=$fleet"
    echo "ImageId=$image"
    echo "AllowedCidr=$allow"
    [ -z "$certificate" ] || echo "CertificateArn=$certificate"
    [ -z "$keys" ] || echo "ApiKeysParameter=$keys"
    [ -z "$email" ] || echo "AlarmEmail=$email"
}

make_service()
{
    need_region
    check_access
    [ -n "$image" ] || image=$(output evalx-image ImageId || true)
    if [ -z "$image" ] && [ -n "$dry_run" ]; then
        image='ami-00000000'
    fi
    [ -n "$image" ] || fail "there is no image yet: run deploy.sh image first"
    cost >&2
    confirm "create or update the fleet $stack in $region?"
    say "image $image"
    # shellcheck disable=SC2046 # one word each; no value contains blanks
    run aws --region "$region" cloudformation deploy --stack-name "$stack" --template-file "$here/service.yaml" \
        --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --tags project=evalx \
        --parameter-overrides $(overrides)
    [ -n "$dry_run" ] || status
}

status()
{
    need_region
    state=$(ask cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' ||
        echo 'does not exist')
    say "stack $stack: $state"
    aws --region "$region" --output table cloudformation describe-stacks --stack-name "$stack" \
        --query 'Stacks[0].Outputs[].[OutputKey,OutputValue]'
    aws --region "$region" --output table autoscaling describe-auto-scaling-groups \
        --auto-scaling-group-names "$stack-api" "$stack-worker" \
        --query 'AutoScalingGroups[].[AutoScalingGroupName,DesiredCapacity,MinSize,MaxSize,length(Instances)]'
    aws --region "$region" --output table cloudwatch describe-alarms --alarm-name-prefix "$stack-" \
        --state-value ALARM --query 'MetricAlarms[].[AlarmName,StateReason]'
}

# Sends a request.  If API keys are in use, EVALX_KEY must hold one; curl reads it from standard input.
try_it()
{
    header=
    [ -z "${EVALX_KEY:-}" ] || header="header = \"Authorization: Bearer $EVALX_KEY\""
    printf '%s\n' "$header" | curl -K - -sS --max-time 70 -H 'Content-Type: application/json' "$@"
}

test_fleet()
{
    need_region
    url=${EVALX_URL:-$(output "$stack" Url || true)}
    [ -n "$url" ] || fail "$stack has no address yet: check it with deploy.sh status"
    say "$url"
    answer=$(try_it --retry 10 --retry-delay 3 --retry-all-errors "$url/healthz")
    say "/healthz: $answer"
    code=$(curl -s -o /dev/null -w '%{http_code}' --max-time 20 "$url/metrics")
    [ "$code" = 404 ] || fail "/metrics answers $code through the load balancer; it must be 404"
    answer=$(try_it "$url/execute/batch" -d '[
        {"language": "python", "version": "latest", "code": "print(int(input()) ** 2)", "stdin": "12",
         "expected_output": "144"},
        {"stdin": "7", "expected_output": "50"}]')
    token=$(printf '%s' "$answer" | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
    [ -n "$token" ] || fail "the batch was not accepted: $answer"
    say "token $token"
    for _ in 1 2 3 4 5; do
        answer=$(try_it "$url/submissions/$token?wait=30")
        case $answer in *'"status":"Completed"'*) break ;; esac
    done
    verdicts=$(printf '%s' "$answer" | grep -o '"status":"[a-z_]*"' | tr '\n' ' ')
    say "verdicts: $verdicts"
    [ "$verdicts" = '"status":"accepted" "status":"wrong_answer" ' ] ||
        fail "expected accepted and wrong_answer, got: $answer"
    say "the fleet works"
}

destroy()
{
    need_region
    confirm "delete the fleet $stack in $region with its queue and results?"
    run aws --region "$region" cloudformation delete-stack --stack-name "$stack"
    run aws --region "$region" cloudformation wait stack-delete-complete --stack-name "$stack"
    [ -n "$all" ] || return 0
    confirm "delete all images of evalx in $region and their sources?"
    run aws --region "$region" cloudformation delete-stack --stack-name evalx-image
    run aws --region "$region" cloudformation wait stack-delete-complete --stack-name evalx-image
    run aws --region "$region" s3 rb --force "s3://$(bucket)"
    # Image Builder does not delete the AMIs.  Their names start with the recipe's name.
    query='Images[].BlockDeviceMappings[].Ebs.SnapshotId'
    for ami in $(ask ec2 describe-images --owners self --filters 'Name=name,Values=evalx-*' \
        --query 'Images[].ImageId' || true); do
        disks=$(ask ec2 describe-images --image-ids "$ami" --query "$query" || true)
        run aws --region "$region" ec2 deregister-image --image-id "$ami"
        for disk in $disks; do
            run aws --region "$region" ec2 delete-snapshot --snapshot-id "$disk"
        done
    done
}

case $command in
cost) cost ;;
check) check ;;
image) make_image ;;
service) make_service ;;
up)
    need_region
    check_access
    make_image
    make_service
    [ -n "$dry_run" ] || test_fleet
    ;;
status) status ;;
test) test_fleet ;;
destroy) destroy ;;
help | -h | --help) usage ;;
*) usage >&2; exit 2 ;;
esac
