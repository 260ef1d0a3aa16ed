# Makes the sample's base one like CANN's own image: root alone, a Python from source in $1, and the packages of CANN in
# /packages as files.
set -e
sh /data/python_in.sh "$1"
sed -i '/^ma-user:/d' /etc/passwd
sed -i 's/^ma-group:/users:/' /etc/group
rm -r /home/ma-user
options='--quiet --install --install-path=/usr/local/Ascend --install-for-all'
sh /packages/Ascend-cann-toolkit_*.run $options
sh /packages/Ascend-cann-kernels-*.run $options
. /usr/local/Ascend/ascend-toolkit/set_env.sh
sh /packages/Ascend-cann-nnal_*.run $options
