# attack: Links where a careless supervisor would next write, chown, chmod, remove or read: its streams, its scripts.
# copies: 2
# expect: accepted stdout="left\n"
for name in run.sh main main.sh stdout stderr stdin result meta output .run input exit_code compile.out main.s; do
    ln -sfn @CANARY@/open/writable /box/$name
    ln -sfn /etc/shadow /tmp/$name
    ln -sfn /etc/passwd /dev/shm/$name
done
chmod 777 /box/* 2>/dev/null
echo left
