# Puts perception_contrast and its ROS 2 into a bash or zsh shell, as setup.bash does for a workspace:
#   source env.sh
# May be sourced from any directory and more than once. Run `make setup` first.

if [ -n "${BASH_VERSION:-}" ]; then
  _pc_self="${BASH_SOURCE[0]}"
elif [ -n "${ZSH_VERSION:-}" ]; then
  eval '_pc_self="${(%):-%x}"'
else
  echo "env.sh: source it from bash or zsh" >&2
  return 1
fi
_pc_root="$(unset CDPATH; cd -- "$(dirname -- "$_pc_self")" >/dev/null && pwd -P)"
_pc_venv="${PERCEPTION_CONTRAST_VENV:-$_pc_root/.venv}"

# _pc_prepend VARIABLE FOLDER: puts FOLDER first in a colon-separated list, where it stands once.
_pc_prepend() {
  eval "_pc_list=\":\${$1:-}:\""
  _pc_list="${_pc_list//:$2:/:}"
  _pc_list="${_pc_list#:}"
  _pc_list="${_pc_list%:}"
  eval "export $1=\"\$2\${_pc_list:+:\$_pc_list}\""
}

_pc_use_wheels() {
  for _pc_dir in "$_pc_venv"/lib/python3.*/site-packages/ros_*.libs; do
    _pc_prepend LD_LIBRARY_PATH "$_pc_dir"
  done
  _pc_prepend LD_LIBRARY_PATH "$_pc_venv/lib"
  _pc_prepend AMENT_PREFIX_PATH "$_pc_venv"
  export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
  # Shared memory that holds whole images; a profile of the user's own is left alone.
  export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$_pc_root/config/fastdds.xml}"
  # The wheels restart Python once to set the library path; it is set already.
  export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
}

_pc_use_installed() {
  if [ -z "${ROS_DISTRO:-}" ]; then
    echo "env.sh: this tree was set up on an installed ROS 2; source its setup file first" >&2
    return 1
  fi
  if [ -n "${BASH_VERSION:-}" ]; then . "$_pc_root/install/local_setup.bash"; else . "$_pc_root/install/local_setup.zsh"; fi
}

_pc_enter() {
  if [ ! -e "$_pc_venv/.set-up" ]; then
    echo "env.sh: not set up yet; run \`make -C $_pc_root setup\`" >&2
    return 1
  fi
  if grep -q '^ros=wheels$' "$_pc_venv/.set-up"; then _pc_use_wheels; else _pc_use_installed || return 1; fi
  unset PYTHONHOME
  export VIRTUAL_ENV="$_pc_venv"
  _pc_prepend PATH "$_pc_venv/bin"
  _pc_cache="${PERCEPTION_CONTRAST_CACHE:-$HOME/.cache/perception_contrast}"
  export ROS_LOG_DIR="${ROS_LOG_DIR:-$_pc_cache/ros_log}"
  export HF_HOME="${HF_HOME:-$_pc_cache/huggingface}"
  # Libraries of ours that would report their use.
  export ORT_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_TELEMETRY=1
  export MLFLOW_DISABLE_TELEMETRY="${MLFLOW_DISABLE_TELEMETRY:-true}" WANDB_ERROR_REPORTING="${WANDB_ERROR_REPORTING:-false}"
  export RAY_USAGE_STATS_ENABLED=0
  export MESA_SHADER_CACHE_DIR="${MESA_SHADER_CACHE_DIR:-$_pc_cache/mesa}"
}

_pc_enter
_pc_status=$?
unset -f _pc_prepend _pc_use_wheels _pc_use_installed _pc_enter
unset _pc_self _pc_root _pc_venv _pc_list _pc_dir _pc_cache
[ "$_pc_status" -eq 0 ] && { unset _pc_status; true; } || { unset _pc_status; false; }
