#!/bin/sh
# matplotlib-fonts.sh PYTHON: makes matplotlib's list of fonts, and lets matplotlib read it from a read-only folder.
python=$1
folder=/usr/local/lib/matplotlib
init=$($python -c 'import importlib.util; print(importlib.util.find_spec("matplotlib").origin)')
mkdir -p $folder
MPLCONFIGDIR=$folder HOME=/tmp $python -c 'import matplotlib.font_manager'
grep -q 'os.access(str(configdir), os.W_OK)' "$init"
sed -i 's/os.access(str(configdir), os.W_OK)/os.access(str(configdir), os.R_OK)/' "$init"
ls $folder/fontlist-*.json
