#!/bin/sh
# deploy.sh: evalx on AWS, from an empty account to a load balancer that answers; docs/guide/DEPLOY.md walks through it.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname "$(dirname "$here")")

usage()
{
    cat <<'END'
usage: deploy.sh COMMAND [OPTIONS]

  cost      what the fleet costs a month; asks nobody
  check     can this machine and this account do it?
  image     builds the image from this clone: some 30 to 60 minutes
  service   makes the fleet, or changes it to the options given now: some 15 minutes
  up        image, service, test
  status    addresses, instances, alarms
  test      sends a batch to the fleet and compares the answers
  destroy   deletes the fleet; with --all also images, sources and what made them

  --env dev|production   which .parameters file, and which fleet (default dev)
  --name NAME            the fleet's name, where it is not that of --env (a second one beside the first)
  --region REGION        default: what the aws command is set to
  --allow CIDR           who may reach the load balancer, as 203.0.113.7/32; 0.0.0.0/0 is everybody
  --certificate ARN      HTTPS with this certificate of ACM
  --keys PARAMETER       API keys: an SSM parameter with the lines of EVALX_API_KEYS_FILE, without its first slash
  --email ADDRESS        who is told of alarms
  --image AMI            this image instead of the newest; also the way back to an older one
  --set KEY=VALUE        one more parameter of service.yaml; may be given again
  --build-options WORDS  for build_ami.sh
  --dry-run              prints each command that would change something instead of running it
  --yes                  asks nothing
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
    [ $# -ge 2 ] || fail "$1 wants a value"
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
[ -f "$parameters" ] || fail "--env $env_name: there is no $parameters"
fleet=${fleet:-$env_name}
stack=evalx-$fleet

# The values that hold: those of the file, then each --set.
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

# run COMMAND...: what changes something.
run()
{
    say "+ $*"
    [ -n "$dry_run" ] || "$@"
}

# ask COMMAND...: what only looks; in a dry run without an account it may fail.
ask() { aws --region "$region" --output text "$@" 2>/dev/null; }

confirm()
{
    [ -z "$yes" ] && [ -z "$dry_run" ] || return 0
    printf '%s [y/N] ' "$*" >&2
    read -r answer || answer=
    case $answer in y | Y | yes) ;; *) fail "nothing was done" ;; esac
}

need_region()
{
    command -v aws >/dev/null ||
        fail "the aws command is missing: https://aws.amazon.com/cli (version 2), or pip install awscli"
    [ -n "$region" ] || region=$(aws configure get region || true)
    [ -n "$region" ] || fail "no region: --region us-east-1, or run: aws configure"
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

# Prices of prices.txt (dollars an hour, or a month where the line says so), 730 hours a month.
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
            print  "      not in it: traffic to the internet (0.09 USD/GB) and through NAT (0.045 USD/GB), taxes"
            if (missing != "") print "      without a price, counted as nothing:" missing
        }'
}

check()
{
    need_region
    say "account $(account), region $region"
    zones=$(ask ec2 describe-availability-zones --query 'length(AvailabilityZones)' || echo '?')
    say "zones: $zones (two are needed)"
    quota=$(ask service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A \
        --query Quota.Value || echo '?')
    say "processors of running on-demand instances allowed: $quota"
    say "  this fleet starts with $(($(setting ApiMin) + $(setting WorkerMin))) instances and may have" \
        "$(($(setting ApiMax) + $(setting WorkerMax))); ask for more under Service Quotas before the first load"
    default=$(ask ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' || echo None)
    [ "$default" != None ] ||
        say "no default VPC, which the image is built in: aws ec2 create-default-vpc --region $region"
}

version()
{
    if git -C "$root" rev-parse --short=12 HEAD >/dev/null 2>&1; then
        git -C "$root" rev-parse --short=12 HEAD
        [ -z "$(git -C "$root" status --porcelain)" ] || say "note: what is not committed does not go into the image"
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
    say "building the image of $name: EC2 Image Builder in the console shows how far it is"
    run aws --region "$region" cloudformation deploy --stack-name evalx-image --template-file "$here/image.yaml" \
        --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --tags project=evalx \
        --parameter-overrides "SourceBucket=$bucket" "SourceVersion=$name" "BuildOptions=$build_options"
    rm -f "$archive"
    say "image: $(output evalx-image ImageId || true)"
}

# held KEY: the value of a parameter in the stack that is there; nothing where there is none.
held()
{
    ask cloudformation describe-stacks --stack-name "$stack" \
        --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue" | grep -v '^None$'
}

# Who is let in is always said, once; the whole world only with a lock on the door.
look_at_access()
{
    [ -n "$allow" ] || allow=$(held AllowedCidr || true)
    [ -n "$allow" ] || fail "--allow CIDR is missing: your own address is \$(curl -s https://checkip.amazonaws.com)/32"
    case $allow in */0) ;; *) return 0 ;; esac
    if [ -z "$certificate$(held CertificateArn || true)" ] || [ -z "$keys$(held ApiKeysParameter || true)" ]; then
        say "everybody would be let in, without encryption or without API keys: --certificate and --keys mend that"
        confirm "everybody may run programs there?"
    fi
}

# What was given before and is not given now stays: CloudFormation keeps a parameter that is not named.
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
    look_at_access
    [ -n "$image" ] || image=$(output evalx-image ImageId || true)
    if [ -z "$image" ] && [ -n "$dry_run" ]; then
        image='ami-00000000'
    fi
    [ -n "$image" ] || fail "there is no image yet: deploy.sh image"
    cost >&2
    confirm "make or change the fleet $stack in $region?"
    say "image $image"
    # shellcheck disable=SC2046 # a word each; no value has blanks
    run aws --region "$region" cloudformation deploy --stack-name "$stack" --template-file "$here/service.yaml" \
        --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --tags project=evalx \
        --parameter-overrides $(overrides)
    [ -n "$dry_run" ] || status
}

status()
{
    need_region
    state=$(ask cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' ||
        echo 'not there')
    say "stack $stack: $state"
    aws --region "$region" --output table cloudformation describe-stacks --stack-name "$stack" \
        --query 'Stacks[0].Outputs[].[OutputKey,OutputValue]'
    aws --region "$region" --output table autoscaling describe-auto-scaling-groups \
        --auto-scaling-group-names "$stack-api" "$stack-worker" \
        --query 'AutoScalingGroups[].[AutoScalingGroupName,DesiredCapacity,MinSize,MaxSize,length(Instances)]'
    aws --region "$region" --output table cloudwatch describe-alarms --alarm-name-prefix "$stack-" \
        --state-value ALARM --query 'MetricAlarms[].[AlarmName,StateReason]'
}

# A batch whose answers are known.  With API keys, EVALX_KEY holds one; it goes to curl by its standard input.
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
    [ -n "$url" ] || fail "$stack has no address: deploy.sh status"
    say "$url"
    answer=$(try_it --retry 10 --retry-delay 3 --retry-all-errors "$url/healthz")
    say "/healthz: $answer"
    code=$(curl -s -o /dev/null -w '%{http_code}' --max-time 20 "$url/metrics")
    [ "$code" = 404 ] || fail "/metrics answers $code to the world; it must be 404"
    answer=$(try_it "$url/execute/batch" -d '[
        {"language": "python", "version": "latest", "code": "print(int(input()) ** 2)", "stdin": "12",
         "expected_output": "144"},
        {"stdin": "7", "expected_output": "50"}]')
    token=$(printf '%s' "$answer" | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
    [ -n "$token" ] || fail "the batch was not taken: $answer"
    say "token $token"
    for _ in 1 2 3 4 5; do
        answer=$(try_it "$url/submissions/$token?wait=30")
        case $answer in *'"status":"Completed"'*) break ;; esac
    done
    verdicts=$(printf '%s' "$answer" | grep -o '"status":"[a-z_]*"' | tr '\n' ' ')
    say "verdicts: $verdicts"
    [ "$verdicts" = '"status":"accepted" "status":"wrong_answer" ' ] || fail "that is not right: $answer"
    say "the fleet works"
}

destroy()
{
    need_region
    confirm "delete the fleet $stack in $region, with its queue and its results?"
    run aws --region "$region" cloudformation delete-stack --stack-name "$stack"
    run aws --region "$region" cloudformation wait stack-delete-complete --stack-name "$stack"
    [ -n "$all" ] || return 0
    confirm "delete every image of evalx in $region, and the sources they were made from?"
    run aws --region "$region" cloudformation delete-stack --stack-name evalx-image
    run aws --region "$region" cloudformation wait stack-delete-complete --stack-name evalx-image
    run aws --region "$region" s3 rb --force "s3://$(bucket)"
    # Image Builder leaves the AMIs: they carry the recipe's name.
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
    look_at_access
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
