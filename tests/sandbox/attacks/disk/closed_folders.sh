# attack: Folders without any permission and files nobody may read, left in every folder.
# expect: accepted stdout="left\n"
for folder in /box /tmp /dev/shm; do
    mkdir -p "$folder/a/b/c"
    echo x >"$folder/a/b/c/file"
    chmod 000 "$folder/a/b/c/file" "$folder/a/b/c" "$folder/a/b" "$folder/a"
done
chmod 000 /box
echo left
