#!/bin/sh
# first_boot: the first boot of an instance, as far as possible without AWS and systemd.
#
#   first_boot.sh FOLDER ROLE       FOLDER/user-data is the script of the launch template; results are stored there too
#
# It runs in new namespaces (unshare --mount --net --pid).  The root is an overlay of this machine's root, removed at
# the end, with the files that build_ami.sh would install.  The metadata service has its real address.  A Redis with TLS
# and a password has the name that user data contains.  systemctl and the command of the CloudWatch agent are fakes that
# record their calls.  For evalx.service, systemctl does what its units do: it fetches the secret and starts the role.
set -eu

if [ "$1" != --inside ]; then
    work=$1/overlay
    mkdir "$work"
    mount -t tmpfs tmpfs "$work"
    root=$work/root
    mkdir "$work/upper" "$work/work" "$root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root"
    mkdir -p "$root/test" "$root/source" "$root/old"
    mount --bind "$1" "$root/test"
    mount --bind "$EVALX_SOURCE" "$root/source"
    cp "$EVALX_BINARY" "$root/usr/local/bin/evalx"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    cd "$root"
    pivot_root . old
    exec chroot . /bin/sh /source/tests/system/aws/first_boot.sh --inside "$2"
fi
role=$2
umount -l /old
ip link set lo up
ip address add 169.254.169.254/32 dev lo

# The files of the image.
rm -rf /etc/evalx
mkdir -p /etc/evalx /usr/libexec/evalx /opt/aws/amazon-cloudwatch-agent/bin /var/lib/evalx /test/local /tmp/redis
groupadd -f -r evalx
id evalx >/dev/null 2>&1 || useradd -r -g evalx -d /var/lib/evalx -s /usr/sbin/nologin evalx
chown evalx:evalx /var/lib/evalx
for file in evalx-aws fetch-secret lifecycle-drain; do
    cp "/source/deploy/aws/$file" /usr/libexec/evalx/
done
cp /source/deploy/cloudwatch/* /etc/evalx/
cp -r /source/languages /etc/evalx/languages

cat >/usr/local/bin/systemctl <<'END'
#!/bin/sh
echo "systemctl $*" >>/test/local/calls
case $* in
*enable*--now*evalx.service*)
    (
        set -a
        . /etc/evalx/evalx.env
        set +a
        export EVALX_REDIS_CA=/etc/evalx/authority CREDENTIALS_DIRECTORY=/run/evalx-secrets
        case $EVALX_ROLE in api) command=server ;; *) command=worker ;; esac
        exec >>/test/local/evalx.log 2>&1
        /usr/libexec/evalx/fetch-secret || exit 1
        exec /usr/local/bin/evalx "$command"
    ) &
    echo $! >/tmp/evalx.pid
    ;;
stop*)
    kill -TERM "$(cat /tmp/evalx.pid)"
    while [ -d "/proc/$(cat /tmp/evalx.pid)" ] && ! grep -q '^State:.Z' "/proc/$(cat /tmp/evalx.pid)/status"; do
        sleep 0.1
    done
    ;;
esac
END
cat >/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl <<'END'
#!/bin/sh
echo "amazon-cloudwatch-agent-ctl $*" >>/test/local/calls
END
chmod 755 /usr/local/bin/systemctl /opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl

# Redis, with a certificate for the name in user data.
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=master.stub-redis.test \
    -addext subjectAltName=DNS:master.stub-redis.test -keyout /tmp/redis/key -out /etc/evalx/authority 2>/dev/null
chmod 644 /etc/evalx/authority
redis-server --bind 127.0.0.1 --port 0 --tls-port 6379 --tls-cert-file /etc/evalx/authority \
    --tls-key-file /tmp/redis/key --tls-ca-cert-file /etc/evalx/authority --tls-auth-clients no \
    --requirepass "$(cat /test/password)" --save '' --dir /tmp/redis --daemonize no >/test/local/redis.log 2>&1 &
echo '127.0.0.1 localhost master.stub-redis.test' >/etc/hosts
/usr/bin/python3 /source/tests/system/aws/endpoint.py /test 169.254.169.254:80 127.0.0.1:5555 &

# as_root COMMAND...: runs it as cloud-init would.
as_root()
{
    /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        AWS_ENDPOINT_URL=http://127.0.0.1:5555 "$@" >>/test/out 2>&1
}

cd /
status=0
as_root /bin/sh /test/user-data || status=$?

# The instance is terminated: lifecycle-drain drains evalx and reports.
if [ "$role" = worker ] && [ "$status" -eq 0 ]; then
    /usr/bin/python3 - /test/metadata.json <<'END'
import json, sys
found = json.load(open(sys.argv[1]))
found["meta-data/autoscaling/target-lifecycle-state"] = "Terminated"
json.dump(found, open(sys.argv[1], "w"))
END
    as_root timeout 60 /usr/libexec/evalx/lifecycle-drain || echo "lifecycle-drain ended with $?" >>/test/out
fi

# The results, for the test to inspect.
cp -r /etc/evalx /test/etc
stat -c '%a %U:%G %n' /etc/evalx/evalx.env /etc/evalx/api-keys /run/evalx-secrets /run/evalx-secrets/redis-password \
    >/test/modes 2>/dev/null || true
cp /run/evalx-secrets/redis-password /test/fetched || true
echo "$status" >/test/status
