# Makes the sample's base one like ModelArts' own: the environment of conda in $1 with PyTorch, which is no more than its
# metadata here, and six, and CANN.
set -eu
sh /data/python_in.sh "$1"
site=$1/lib/python3.11/site-packages
conda() { # NAME VERSION
    mkdir -p "$1/conda-meta" "$site/$2-$3.dist-info"
    printf 'Metadata-Version: 2.1\nName: %s\nVersion: %s\n' "$2" "$3" >"$site/$2-$3.dist-info/METADATA"
    echo conda >"$site/$2-$3.dist-info/INSTALLER"
    echo "__version__ = '$3'" >"$site/$2.py"
    package=lib/python3.11/site-packages/$2
    cat >"$1/conda-meta/$2-$3-py311_0.json" <<END
{"name": "$2", "version": "$3", "files": ["$package.py", "$package-$3.dist-info/METADATA", "$package-$3.dist-info/INSTALLER"]}
END
}
conda "$1" torch 2.7.1
conda "$1" torch_npu 2.7.1
conda "$1" six 1.16.0
chown -R 1000:100 /home/ma-user
sh /packages/Ascend-cann-toolkit_*.run --quiet --install --install-path=/usr/local/Ascend --install-for-all
