# In the virtual machine: button and LED, this tree, and pins.py.
set -e
. /share/header.sh
mkdir /run/tree
cp -r /share/appliance /share/pins.py /run/tree/
cd /run/tree
python3 -m compileall -q appliance
python3 pins.py
