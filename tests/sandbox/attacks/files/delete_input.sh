# attack: Removes its own source and puts something else in its place: a folder, a FIFO, a link out of the box.
# copies: 4
# expect: accepted stdout="original\n"
echo original
rm -f /box/main.sh
mkfifo /box/main.sh
rm -f /box/main.sh
mkdir /box/main.sh
rmdir /box/main.sh
ln -s @CANARY@/secret /box/main.sh
exit 0
